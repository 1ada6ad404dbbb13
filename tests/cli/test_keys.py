"""`keys`, beside a running service."""

import re
import stat
import time

import httpx
import pytest

from tests.cli.conftest import Served, Workspace


def status_with(service: Served, key: str) -> int:
    return httpx.get(f"{service.url}/v1/jobs", headers={"API-KEY": key}).status_code


def test_a_new_key_works_at_once_and_is_not_stored(served: Served) -> None:
    printed = served.workspace.run("keys", "create", "ann", "--json").json()
    assert list(printed) == ["user", "key", "secret", "prefix"]
    assert re.fullmatch(r"rk_[A-Za-z0-9_-]{43}", printed["key"])
    assert printed["key"].startswith(printed["prefix"])
    assert printed["secret"].startswith("whsec_")
    assert status_with(served, printed["key"]) == 200
    for file in (served.workspace.folder / "data").iterdir():
        assert printed["key"].encode() not in file.read_bytes()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_second_key_of_a_user_shares_the_secret(served: Served) -> None:
    one, two = (served.workspace.run("keys", "create", "bob", "--json").json() for _ in range(2))
    assert one["secret"] == two["secret"]
    assert one["key"] != two["key"]


def test_without_json_the_same_is_printed_as_lines(served: Served) -> None:
    done = served.workspace.run("keys", "create", "cleo")
    printed = dict(line.split(": ", 1) for line in done.out.splitlines() if ": " in line)
    assert status_with(served, printed["key"]) == 200
    assert "\x1b" not in done.out


def test_the_list_shows_prefixes_and_no_key(served: Served) -> None:
    key = served.workspace.run("keys", "create", "dora", "--admin", "--json").json()
    listed = {
        each["prefix"]: each for each in served.workspace.run("keys", "list", "--json").json()
    }
    row = listed[key["prefix"]]
    assert (row["user"], row["admin"], row["revoked_at"]) == ("dora", True, None)
    plain = served.workspace.run("keys", "list").out
    assert [line for line in plain.splitlines() if line.startswith(f"{key['prefix']}\tdora\tyes\t")]
    assert key["key"] not in plain
    assert key["secret"] not in plain


def test_an_empty_list_names_the_database(workspace: Workspace) -> None:
    there = workspace.with_settings(DATABASE_URL="sqlite:///elsewhere.db")
    assert there.run("keys", "list").out == (
        "No keys yet in elsewhere.db: `receiver keys create USER` creates one.\n"
    )


def test_only_a_new_key_may_create_a_database(workspace: Workspace) -> None:
    there = workspace.with_settings(DATABASE_URL="sqlite:///elsewhere.db")
    (workspace.folder / "elsewhere.db").touch()
    assert there.run("keys", "list").out.startswith("No keys yet")
    assert (workspace.folder / "elsewhere.db").stat().st_size == 0
    (workspace.folder / "elsewhere.db").unlink()
    for command in (("revoke", "rk_x"), ("rotate-secret", "ann")):
        done = there.run("keys", *command)
        assert done.status == 1
        assert "There is no database at elsewhere.db." in done.err
    assert list(workspace.folder.iterdir()) == []
    created = there.run("keys", "create", "ann")
    assert created.err == "There was no database at elsewhere.db: it was created.\n"
    assert there.run("keys", "create", "ann").err == ""
    nowhere = workspace.with_settings(DATABASE_URL="sqlite:////proc/receiver.db")
    assert "created" not in nowhere.run("keys", "create", "ann").err
    assert "in elsewhere.db" in there.run("keys", "revoke", "rk_nobody").err


@pytest.mark.parametrize("characters", [11, 46], ids=["prefix", "whole key"])
def test_a_revoked_key_stops_working_within_five_seconds(served: Served, characters: int) -> None:
    key = served.new_key("ann")
    assert status_with(served, key) == 200
    assert served.workspace.run("keys", "revoke", key[:characters]).status == 0
    until = time.monotonic() + 5
    while status_with(served, key) != 401:
        assert time.monotonic() < until
        time.sleep(0.1)
    again = served.workspace.run("keys", "revoke", key[:characters])
    assert again.status == 1
    assert "nothing was revoked" in again.err


def test_an_ambiguous_prefix_revokes_nothing_and_lists_the_keys(workspace: Workspace) -> None:
    prefixes = {workspace.run("keys", "create", "ann", "--json").json()["prefix"] for _ in range(2)}
    done = workspace.run("keys", "revoke", "rk_")
    assert done.status == 1
    assert prefixes <= set(done.err.splitlines())
    assert all(key["revoked_at"] is None for key in workspace.run("keys", "list", "--json").json())


def test_an_empty_prefix_is_a_usage_error(workspace: Workspace) -> None:
    workspace.run("keys", "create", "ann")
    assert workspace.run("keys", "revoke", "").status == 2
    assert workspace.run("keys", "list", "--json").json()[0]["revoked_at"] is None


def test_rotating_replaces_the_secret(workspace: Workspace) -> None:
    first = workspace.run("keys", "create", "ann", "--json").json()["secret"]
    printed = workspace.run("keys", "rotate-secret", "ann", "--json").json()
    assert printed["user"] == "ann"
    assert printed["secret"] != first
    assert workspace.run("keys", "create", "ann", "--json").json()["secret"] == printed["secret"]
    unknown = workspace.run("keys", "rotate-secret", "nobody")
    assert unknown.status == 1
    assert "nobody" in unknown.err


@pytest.mark.parametrize("name", ["", "a b", "-x", "a/b", "é", "x" * 65, "a\nb"])
def test_an_invalid_user_name_is_refused(workspace: Workspace, name: str) -> None:
    done = workspace.run("keys", "create", "--json", "--", name)
    assert done.status == 2
    assert "letters, digits" in done.err
    assert list(workspace.folder.iterdir()) == []
    assert workspace.run("keys", "list", "--json").json() == []
