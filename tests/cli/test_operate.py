"""`doctor` and `backup`."""

import socket
import sqlite3
import ssl
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import trustme

from receiver.cli import doctor
from receiver.http_client.connection import default_tls
from tests.cli.conftest import Served, Workspace, stub_server, submit_movie
from tests.support.forked import CommandResult

KEY = "operators-own-key"


@contextmanager
def upstream(status: int, **headers: str) -> Iterator[str]:
    """A provider that answers every request in the same way; yields its base URL."""
    with stub_server(status, headers) as server:
        yield f"{server.url}/v1/video/"


def states(done: CommandResult) -> dict[str, str]:
    """The worst state of each check, from the plain output."""
    found: dict[str, str] = {}
    for line in done.out.splitlines():
        state, check, *_ = line.split("\t")
        if found.get(check) != "failed":
            found[check] = state
    return found


def examined(served: Served, base_url: str, **settings: str) -> CommandResult:
    own = {
        "PROVIDER": "samsar",
        "SAMSAR_BASE_URL": base_url,
        "SAMSAR_API_KEY": KEY,
        "PUBLIC_URL": served.url,
    }
    return served.workspace.with_settings(**own | settings).run("doctor")


def test_all_checks_pass_beside_a_running_service(served: Served) -> None:
    with upstream(404) as base_url:
        done = examined(served, base_url)
    assert done.status == 0, done.out
    assert set(states(done).values()) == {"ok"}
    assert set(states(done)) == {
        "settings",
        "store",
        "durability",
        "secrets",
        "disk",
        "provider",
        "public address",
        "clock",
    }
    assert KEY not in done.out + done.err


@pytest.mark.parametrize(
    ("headers", "check", "advice"),
    [
        ({"Date": "Thu, 01 Jan 2026 00:00:00 GMT"}, "clock", "Set this machine's clock"),
        ({"Content-Length": "0"}, "provider", "Check RECEIVER_SAMSAR_BASE_URL"),
    ],
)
def test_a_wrong_clock_or_a_404_that_is_not_the_provider_s_fails(
    served: Served, headers: dict[str, str], check: str, advice: str
) -> None:
    with upstream(404, **headers) as base_url:
        done = examined(served, base_url)
    assert done.status == 1
    assert states(done)[check] == "failed"
    assert advice in done.out


def test_a_url_at_the_start_of_an_error_keeps_its_case(workspace: Workspace) -> None:
    with upstream(200) as base_url:
        url = base_url.removesuffix("/v1/video/")
        done = workspace.with_settings(URL=url, API_KEY="rk_x").run("jobs", "list")
    assert done.status == 1
    assert done.err.startswith(f"{url}/v1/jobs does not answer")


def test_an_unreachable_provider_fails(served: Served) -> None:
    with upstream(404) as base_url:
        pass
    assert states(examined(served, base_url))["provider"] == "failed"


def test_an_unreachable_public_address_fails_only_with_a_real_provider(served: Served) -> None:
    with upstream(404) as base_url:
        with upstream(404) as nobody:
            pass
        address = nobody.removesuffix("/v1/video/")
        done = examined(served, base_url, PUBLIC_URL=address)
        assert done.status == 1
        assert states(done)["public address"] == "failed"
        another = examined(served, base_url, PUBLIC_URL=base_url.removesuffix("/v1/video/"))
        assert states(another)["public address"] == "failed"
    sandbox = examined(served, base_url, PROVIDER="sandbox", PUBLIC_URL=address)
    assert sandbox.status == 0
    assert states(sandbox)["public address"] == "warning"


def test_settings_errors_are_listed_and_the_status_is_2(workspace: Workspace) -> None:
    done = workspace.with_settings(PROVIDER="samsar", POLL_MIN="0").run("doctor")
    assert done.status == 2
    assert states(done) == {"settings": "failed"}
    assert len(done.err.splitlines()) == len(done.out.splitlines()) == 2


def test_doctor_trusts_the_authority_of_an_operator(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service's own calls trust it too."""
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(workspace.folder / "authority.pem")
    monkeypatch.setattr(doctor, "default_tls", default_tls.__wrapped__)  # not the cached one
    with stub_server(200, {"X-Request-ID": "x"}, tls) as front:
        there = workspace.with_settings(PUBLIC_URL=front.url)
        assert states(there.run("doctor"))["public address"] == "warning"
        there.others["SSL_CERT_FILE"] = str(workspace.folder / "authority.pem")
        assert states(there.run("doctor"))["public address"] == "ok"


def test_doctor_creates_no_files(workspace: Workspace) -> None:
    printed = workspace.run("doctor", "--json").json()
    assert printed["ok"]
    assert {each["check"]: each["state"] for each in printed["checks"]}["store"] == "warning"
    assert list(workspace.folder.iterdir()) == []


def test_the_database_of_an_older_release_needs_a_service(workspace: Workspace) -> None:
    workspace.run("keys", "create", "ann")
    with closing(sqlite3.connect(workspace.folder / "data" / "receiver.db")) as database:
        database.execute("PRAGMA user_version = 1")
    for command in (("keys", "list"), ("doctor",)):
        done = workspace.run(*command)
        assert done.status == 1
        assert "Restart `receiver serve` with this release" in done.out + done.err


def test_a_database_that_is_removed_beside_its_service_fails(workspace: Workspace) -> None:
    database = workspace.folder / "data" / "receiver.db"
    with workspace.serving():
        database.unlink()
        done = workspace.run("doctor")
    assert (done.status, states(done)["store"]) == (1, "failed")
    assert "receiver.db-wal" in done.out, "SQLite would write it into a copy in its place"
    assert not database.exists()


@pytest.mark.parametrize(
    ("content", "state", "words"),
    [
        (None, "warning", "does not exist, but the database has jobs"),
        ("short\n", "failed", "one secret of at least 32"),
        ("", "failed", "one secret of at least 32"),
        (f"{'x' * 32}\n", "ok", "receiver.db.keys"),
    ],
)
def test_the_file_with_the_signing_secrets_is_checked(
    workspace: Workspace, content: str | None, state: str, words: str
) -> None:
    with workspace.serving() as service:
        submit_movie(service.as_user("ann"))
    file = workspace.folder / "data" / "receiver.db.keys"
    file.unlink()
    if content is not None:
        file.write_text(content)
    done = workspace.run("doctor")
    assert done.status == (state == "failed")
    assert states(done)["secrets"] == state
    assert words in done.out


def test_a_database_with_which_no_service_starts_fails(workspace: Workspace) -> None:
    workspace.run("keys", "create", "ann")
    database = workspace.folder / "data" / "receiver.db"
    (workspace.folder / "second.db").hardlink_to(database)
    done = workspace.run("doctor")
    assert (done.status, states(done)["store"]) == (1, "failed")
    assert "has two names (a hard link)" in done.out

    database.unlink()
    database.touch()
    for command in (("doctor",), ("backup", "copy.db"), ("keys", "revoke", "rk_")):
        done = workspace.run(*command)
        assert done.status == 1
        assert "receiver.db is empty" in done.out + done.err
    assert database.stat().st_size == 0


def test_a_database_that_cannot_be_found_is_reported(workspace: Workspace) -> None:
    name = "x" * 300  # the system refuses to look for it
    done = workspace.with_settings(DATABASE_URL=f"sqlite:///{name}").run("doctor")
    assert (done.status, states(done)["store"]) == (1, "failed")
    assert "File name too long" in done.out


def test_a_loop_of_links_is_reported(workspace: Workspace) -> None:
    (workspace.folder / "loop.db").symlink_to("loop.db")
    there = workspace.with_settings(DATABASE_URL="sqlite:///loop.db")
    for command in (["doctor"], ["serve"], ["keys", "list"]):
        done = there.run(*command)
        assert done.status == 1
        assert "symbolic links" in done.out + done.err


def test_a_file_that_is_no_database_fails(workspace: Workspace) -> None:
    file = workspace.folder / "some.db"
    file.write_bytes(b"no database" * 100)
    file.chmod(0o644)
    there = workspace.with_settings(DATABASE_URL="sqlite:///some.db")
    done = there.run("doctor")
    assert done.status == 1
    assert states(done)["store"] == "failed"
    assert there.run("keys", "create", "ann").status == 1
    assert file.stat().st_mode & 0o777 == 0o644


def test_an_archive_that_is_not_writable_fails(workspace: Workspace) -> None:
    kept = workspace.folder / "kept"
    done = workspace.with_settings(ARCHIVE_URL=f"file://{kept}").run("doctor")
    assert (done.status, states(done)["archive"]) == (0, "ok")
    assert [path for path in kept.rglob("*") if path.is_file()] == []
    (workspace.folder / "file").touch()
    done = workspace.with_settings(ARCHIVE_URL=f"file://{workspace.folder}/file").run("doctor")
    assert (done.status, states(done)["archive"]) == (1, "failed")
    assert "permissions and free space" in done.out


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("AWS_SKIP_SIGNATURE", "maybe", 'Generic Config error: failed to parse "maybe" as boolean'),
        ("AWS_ENDPOINT_URL", "minio:9000", "panicked"),
    ],
)
def test_a_bucket_with_faulty_settings_fails(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv(name, value)
    done = workspace.with_settings(ARCHIVE_URL="s3://results").run("doctor")
    assert (done.status, states(done)["archive"]) == (1, "failed")
    assert reason in done.out


def test_a_bucket_that_hangs_fails_in_time(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        done = workspace.with_settings(ARCHIVE_URL="s3://results").run("doctor")
    assert (done.status, states(done)["archive"]) == (1, "failed")
    assert "no answer within 0.2 s" in done.out
    assert "credentials, permissions and endpoint" in done.out


def test_a_backup_is_complete_private_and_never_overwrites(served: Served) -> None:
    key = served.new_key("saved")
    target = served.workspace.folder / "copy.db"
    done = served.workspace.run("backup", "copy.db")
    assert done.status == 0, done.err
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with closing(sqlite3.connect(target)) as copy:
        found = copy.execute("SELECT prefix FROM api_keys").fetchall()
    assert (key[:11],) in found
    before = target.read_bytes()
    again = served.workspace.run("backup", "copy.db")
    assert again.status == 1
    assert "copy.db" in again.err
    assert target.read_bytes() == before


@pytest.mark.parametrize(
    ("settings", "status", "words"),
    [
        ({}, 1, ["no database"]),
        ({"DATABASE_URL": "x", "ARCHIVE_URL": "y"}, 2, ["DATABASE_URL", "ARCHIVE_URL"]),
    ],
)
def test_a_backup_that_is_impossible_says_why(
    workspace: Workspace, settings: dict[str, str], status: int, words: list[str]
) -> None:
    done = workspace.with_settings(**settings).run("backup", "copy.db")
    assert done.status == status
    assert [word for word in words if word not in done.err] == []
    assert list(workspace.folder.iterdir()) == []


def test_a_backup_creates_no_folder(served: Served) -> None:
    done = served.workspace.run("backup", "nowhere/copy.db")
    assert done.status == 1
    assert "There is no folder" in done.err
    assert "/nowhere. Create it" in done.err


def test_every_running_provider_is_checked(served: Served) -> None:
    with upstream(404) as base_url:
        own = {
            "PROVIDERS": "fal,replicate,sandbox-fal",
            "FAL_KEY": KEY,
            "FAL_BASE_URL": base_url,
            "REPLICATE_API_TOKEN": KEY,
            "REPLICATE_BASE_URL": base_url,
        }
        done = examined(served, base_url, **own)
        pinned = examined(served, base_url, FAL_USER_ID="user-1", **own)
    assert done.status == 0, done.out
    assert states(done)["signatures"] == "warning"
    assert "RECEIVER_FAL_USER_ID" in done.out
    assert done.out.count("accepts the key") == 3
    assert "sandbox-fal: an embedded sandbox" in done.out
    assert "signatures" not in states(pinned)
    for status in (401, 403):
        with upstream(status) as base_url:
            own |= {"FAL_BASE_URL": base_url, "REPLICATE_BASE_URL": base_url}
            refused = examined(served, base_url, **own)
        assert refused.status == 1
        assert states(refused)["provider"] == "failed"
        for name in ("SAMSAR_API_KEY", "FAL_KEY", "REPLICATE_API_TOKEN"):
            assert f"RECEIVER_{name}" in refused.out
        assert KEY not in refused.out + refused.err
