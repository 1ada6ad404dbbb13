"""`doctor` and `backup`."""

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.cli.conftest import Served, Workspace, stub_server
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
    for line in done.out.splitlines()[1:]:
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
    assert set(states(done)) == {"settings", "store", "provider", "public address"}
    assert KEY not in done.out + done.err


def test_a_provider_that_does_not_answer_as_itself_fails(served: Served) -> None:
    with upstream(404) as gone:
        pass
    with upstream(404, **{"Content-Length": "0"}) as another:
        for base_url in (another, gone):
            done = examined(served, base_url)
            assert (done.status, states(done)["provider"]) == (1, "failed")
            assert "Check RECEIVER_SAMSAR_BASE_URL" in done.out


def test_an_unreachable_public_address_fails_only_with_a_real_provider(served: Served) -> None:
    with upstream(404) as base_url:
        with upstream(404) as nobody:
            pass
        for url in (nobody, base_url):
            address = url.removesuffix("/v1/video/")
            done = examined(served, base_url, PUBLIC_URL=address)
            assert (done.status, states(done)["public address"]) == (1, "failed")
            done = examined(served, base_url, PROVIDER="sandbox", PUBLIC_URL=address)
            assert (done.status, states(done)["public address"]) == (0, "warning")
    local = examined(served, "http://192.0.2.1/", SAMSAR_BASE_URL="http://localhost.invalid/")
    assert "which the provider cannot reach" in local.out


def test_settings_errors_are_listed_once_and_the_status_is_2(workspace: Workspace) -> None:
    done = workspace.with_settings(PROVIDER="samsar", POLL_MIN="0").run("doctor")
    assert (done.status, states(done), done.err) == (2, {"settings": "failed"}, "")
    assert len(done.out.splitlines()) == 3


def test_doctor_creates_no_files(workspace: Workspace) -> None:
    printed = workspace.run("doctor", "--json").json()
    assert printed["ok"]
    assert {each["check"]: each["state"] for each in printed["checks"]}["store"] == "warning"
    assert list(workspace.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("version", "advice"),
    [(17, "Restart `receiver serve` with this release"), (1_000, "Install that release.")],
)
def test_the_database_of_another_release_needs_that_release_or_a_service(
    workspace: Workspace, version: int, advice: str
) -> None:
    workspace.run("keys", "create", "ann")
    with closing(sqlite3.connect(workspace.folder / "data" / "receiver.db")) as database:
        database.execute(f"PRAGMA user_version = {version}")
    for command in (("keys", "list"), ("doctor",)):
        done = workspace.run(*command)
        assert done.status == 1
        assert advice in done.out + done.err


def test_a_database_that_cannot_be_opened_is_reported(workspace: Workspace) -> None:
    no_database = workspace.folder / "some.db"
    no_database.write_bytes(b"no database" * 100)
    for name in ("some.db", "x" * 300):
        there = workspace.with_settings(DATABASE_URL=f"sqlite:///{name}")
        done = there.run("doctor")
        assert (done.status, states(done)["store"]) == (1, "failed")
        assert there.run("keys", "create", "ann").status == 1
        start = there.run("serve", "--port", "0")
        assert start.status == 1
        assert "RECEIVER_DATABASE_URL" in start.err
    assert no_database.read_bytes() == b"no database" * 100


def test_an_archive_that_is_not_writable_fails(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = workspace.folder / "kept"
    done = workspace.with_settings(ARCHIVE_URL=f"file://{kept}").run("doctor")
    assert (done.status, states(done)["archive"]) == (0, "ok")
    assert [path for path in kept.rglob("*") if path.is_file()] == []
    (workspace.folder / "file").touch()
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "maybe")
    for url in (f"file://{workspace.folder}/file", "s3://results"):
        done = workspace.with_settings(ARCHIVE_URL=url).run("doctor")
        assert (done.status, states(done)["archive"]) == (1, "failed")
        assert "Correct RECEIVER_ARCHIVE_URL or the AWS_… variables." in done.out


def test_every_running_provider_is_checked(served: Served) -> None:
    with upstream(404) as base_url:
        own = {
            "PROVIDERS": "fal,replicate,sandbox-fal",
            "FAL_KEY": KEY,
            "FAL_BASE_URL": base_url,
            "REPLICATE_API_TOKEN": KEY,
            "REPLICATE_BASE_URL": base_url,
            "JOBS_IN_FLIGHT": "fal=2,sandbox=3",
        }
        done = examined(served, base_url, **own)
        pinned = examined(served, base_url, FAL_USER_ID="user-1", **own)
    assert done.status == 0, done.out
    assert states(done)["signatures"] == "warning"
    assert "RECEIVER_FAL_USER_ID" in done.out
    assert done.out.count("accepts the key") == 3
    assert "RECEIVER_JOBS_IN_FLIGHT names sandbox, which does not run" in done.out
    assert "sandbox-fal: an embedded sandbox" in done.out
    assert "signatures" not in states(pinned)
    with upstream(401) as base_url:
        own |= {"FAL_BASE_URL": base_url, "REPLICATE_BASE_URL": base_url}
        refused = examined(served, base_url, **own)
    assert refused.status == 1
    for name in ("SAMSAR_API_KEY", "FAL_KEY", "REPLICATE_API_TOKEN"):
        assert f"Set RECEIVER_{name} to a valid key" in refused.out
    assert KEY not in refused.out + refused.err


# --- backup ---------------------------------------------------------------------------------------


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
    assert (again.status, target.read_bytes()) == (1, before)
    assert "copy.db already exists" in again.err
    nowhere = served.workspace.run("backup", "nowhere/copy.db")
    assert nowhere.status == 1
    assert "There is no folder" in nowhere.err


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


@pytest.mark.parametrize(
    "command", [["serve"], ["doctor"], ["backup", "copy.db"], ["keys", "list"]]
)
def test_the_database_of_1_x_is_refused_in_words(workspace: Workspace, command: list[str]) -> None:
    path = workspace.folder / "old.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "PRAGMA application_id = 1919121010; PRAGMA user_version = 7; CREATE TABLE meta (key);"
        )
    content = path.read_bytes()
    done = workspace.with_settings(DATABASE_URL=f"sqlite:///{path}").run(*command)
    assert done.status == 1
    assert "his database was made by receiver 1.x" in done.out + done.err
    assert "Run 2.0.0 once to upgrade it, then start this version." in done.out + done.err
    assert path.read_bytes() == content
