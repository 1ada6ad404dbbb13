"""The file that keeps signing secrets."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from receiver.config.secret_file import SecretFileError, SecretsInvalid, load_or_create


def test_a_new_secret_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "made" / "receiver.db.keys"
    [secret] = load_or_create(path)
    assert len(secret) == 64
    assert load_or_create(path) == [secret]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    assert load_or_create(tmp_path / "other") != [secret]


def test_a_readable_file_is_made_private(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    [secret] = load_or_create(path)
    path.chmod(0o644)
    assert load_or_create(path) == [secret]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o400)
    assert load_or_create(path) == [secret]
    assert stat.S_IMODE(path.stat().st_mode) == 0o400


def test_one_secret_per_line_newest_first(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"{'n' * 32}\n\n  {'o' * 40}\n")
    assert load_or_create(path) == ["n" * 32, "o" * 40]


def test_concurrent_starts_get_the_same_secret(tmp_path: Path) -> None:
    starters = 8
    for round_number in range(20):
        path = tmp_path / str(round_number)
        barrier = Barrier(starters)

        def start(path: Path = path, barrier: Barrier = barrier) -> tuple[str, ...]:
            barrier.wait()
            return tuple(load_or_create(path))

        with ThreadPoolExecutor(starters) as pool:
            found = {each.result() for each in [pool.submit(start) for _ in range(starters)]}
        assert len(found) == 1
    assert len(list(tmp_path.iterdir())) == 20


@pytest.mark.parametrize(
    "content",
    [b"", b"\n \n", b"hush-hush\n", b"n" * 32 + b"\nhush-hush\n", b"hush-hush\xff" * 9],
)
def test_invalid_content_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys"
    path.write_bytes(content)
    with pytest.raises(SecretsInvalid, match="one secret of at least 32") as caught:
        load_or_create(path)
    assert str(path) in str(caught.value)
    assert "hush" not in str(caught.value)
    assert path.read_bytes() == content


def test_an_unusable_path_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path, tmp_path / "file" / "keys", tmp_path / "dangling"):
        with pytest.raises(SecretFileError, match="cannot be read from or written to"):
            load_or_create(path)
