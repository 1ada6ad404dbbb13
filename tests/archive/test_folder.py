"""The archive in a folder: visible files are complete, and removed ones leave nothing behind."""

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from receiver.archive.contract import ArchiveUnavailable, Kept, key_of, type_of
from receiver.archive.folder import PARTIAL, FolderArchive

JOB = "job_01KE4XH9T5M0R8QW2V3Y6Z7ABC"


async def pieces(*content: bytes, then: BaseException | None = None) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece
    if then is not None:
        raise then


@pytest.fixture
def archive(tmp_path: Path) -> FolderArchive:
    return FolderArchive(tmp_path / "kept")


async def test_a_file_is_stored_and_found(archive: FolderArchive) -> None:
    assert await archive.put("ada/job/1.mp4", "video/mp4", pieces(b"one ", b"two")) is None
    found = await archive.find("ada/job/1.mp4", 7)
    assert found.read_bytes() == b"one two"
    with pytest.raises(ArchiveUnavailable, match="has 7 of 8 bytes"):
        await archive.find("ada/job/1.mp4", 8)
    with pytest.raises(ArchiveUnavailable, match="No such file"):
        await archive.find("ada/job/2.mp4", 7)


async def test_a_file_is_never_replaced(archive: FolderArchive, tmp_path: Path) -> None:
    await archive.put("ada/job/1.mp4", "video/mp4", pieces(b"first"))
    kept = await archive.put("ada/job/1.mp4", "video/mp4", pieces(b"other one"))
    assert kept == Kept(5, hashlib.sha256(b"first").hexdigest())
    assert (await archive.find("ada/job/1.mp4", 5)).read_bytes() == b"first"
    assert [*(tmp_path / "kept" / PARTIAL).iterdir()] == []


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
async def test_a_file_system_without_hard_links_will_do(
    archive: FolderArchive, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr("os.link", Mock(side_effect=OSError(code, "no links here")))
    for content in (b"first", b"other"):
        assert await archive.put("ada/job/1", "video/mp4", pieces(content)) is None
        assert (await archive.find("ada/job/1", 5)).read_bytes() == content


@pytest.mark.parametrize("error", [LookupError, asyncio.CancelledError])
async def test_a_failed_write_leaves_nothing(
    archive: FolderArchive, tmp_path: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        await archive.put("ada/job/1", "video/mp4", pieces(b"part", then=error()))
    assert [path.name for path in (tmp_path / "kept").rglob("*")] == [PARTIAL]


async def test_partial_files_of_a_killed_process_are_swept(
    archive: FolderArchive, tmp_path: Path
) -> None:
    assert await archive.sweep(0) == 0, "nothing is there yet"
    await archive.put("ada/job/1", "video/mp4", pieces(b"whole"))
    (tmp_path / "kept" / PARTIAL / "left").write_bytes(b"part")
    assert await archive.sweep(60) == 0
    assert await archive.sweep(0) == 1
    await archive.find("ada/job/1", 5)


async def test_removing_a_job_removes_its_folder(archive: FolderArchive, tmp_path: Path) -> None:
    for key in ("ada/a/1.mp4", "ada/a/2", "ada/b/1.mp4"):
        await archive.put(key, "video/mp4", pieces(b"x"))
    await archive.remove("ada/a")
    await archive.remove("ada/a")
    assert [path.name for path in (tmp_path / "kept" / "ada").iterdir()] == ["b"]
    await archive.find("ada/b/1.mp4", 1)
    await archive.remove("ada/b")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [PARTIAL]


async def test_a_folder_that_is_away_has_removed_nothing(
    archive: FolderArchive, tmp_path: Path
) -> None:
    await archive.sweep(0)
    await archive.remove("ada/a")
    (tmp_path / "kept").rename(tmp_path / "away")  # as if it were not mounted
    with pytest.raises(ArchiveUnavailable, match="No such file"):
        await archive.remove("ada/a")


async def test_a_folder_that_cannot_be_written_to_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    archive = FolderArchive(tmp_path / "file")
    with pytest.raises(ArchiveUnavailable, match="Not a directory"):
        await archive.put("ada/job/1", "video/mp4", pieces(b"x"))


async def test_a_disk_that_hangs_holds_up_nothing_else(
    archive: FolderArchive, tmp_path: Path
) -> None:
    """A FIFO hangs like a network mount whose server is down."""
    fifo = tmp_path / "kept" / "hangs"
    fifo.parent.mkdir()
    os.mkfifo(fifo)
    finds = [asyncio.create_task(archive.find("hangs", 1)) for _ in range(40)]
    assert await asyncio.to_thread(int) == 0
    finds[0].cancel()
    await asyncio.wait(finds[:1])
    with fifo.open("r+b", buffering=0):  # the disk is back
        await asyncio.wait(finds)
    await archive.close()


@pytest.mark.parametrize(
    ("content_type", "ending"),
    [
        ("video/mp4", ".mp4"),
        ("image/webp", ".webp"),
        ("x/../../etc", ""),
        ("", ""),
    ],
)
def test_no_part_of_a_file_name_comes_from_the_provider(content_type: str, ending: str) -> None:
    assert key_of("ada", JOB, 2, content_type) == f"ada/{JOB}/2{ending}"


@pytest.mark.parametrize(
    ("given", "path", "expected"),
    [
        ("image/PNG; x=y", "/x", "image/png"),
        (None, "/x.webp", "image/webp"),
        ("application/octet-stream", "/x.mp4", "video/mp4"),
        ("binary/octet-stream", "/x", "application/octet-stream"),
        ("vid\u00e9o/mp4", "/x.html", "text/html"),
        (f"video/{'x' * 127}", "/x", f"video/{'x' * 127}"),
        *(
            (wrong, "/x", "application/octet-stream")
            for wrong in (
                *(f"video/{'x' * 128}", "video/mp4\r\nX: y", "video/", "/mp4"),
                *("a/b/c", 'a/"b"', "a b/c"),
            )
        ),
    ],
)
def test_the_type_is_from_the_header_or_the_path(
    given: str | None, path: str, expected: str
) -> None:
    assert type_of(given, path) == expected
