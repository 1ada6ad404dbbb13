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
    done = served.workspace.run("keys", "create", "ann")
    second = dict(line.split(": ", 1) for line in done.out.splitlines() if ": " in line)
    assert second["secret"] == printed["secret"]
    assert second["key"] != printed["key"]
    assert status_with(served, second["key"]) == 200


def test_the_list_shows_prefixes_and_no_key(served: Served) -> None:
    create = ("keys", "create", "dora", "--admin", "--name", "CI", "--json")
    key = served.workspace.run(*create).json()
    listed = served.workspace.run("keys", "list", "--json").json()
    (row,) = [each for each in listed if each["prefix"] == key["prefix"]]
    assert (row["user"], row["admin"], row["revoked_at"]) == ("dora", True, None)
    assert (row["name"], row["last_used_at"]) == ("CI", None)
    plain = served.workspace.run("keys", "list").out
    assert [
        line for line in plain.splitlines() if line.startswith(f"{key['prefix']}\tdora\tCI\tyes\t")
    ]
    assert key["key"] not in plain
    assert key["secret"] not in plain


def test_only_a_new_key_may_create_a_database(workspace: Workspace) -> None:
    there = workspace.with_settings(DATABASE_URL="sqlite:///elsewhere.db")
    assert there.run("keys", "list").out == (
        "No keys yet in elsewhere.db: `receiver keys create USER` creates one.\n"
    )
    for command in (("revoke", "rk_x"), ("rotate-secret", "ann")):
        done = there.run("keys", *command)
        assert done.status == 1
        assert "There is no database at elsewhere.db." in done.err
    assert list(workspace.folder.iterdir()) == []
    created = there.run("keys", "create", "ann")
    assert created.err == "There was no database at elsewhere.db: it was created.\n"
    assert there.run("keys", "create", "ann").err == ""
    nowhere = workspace.with_settings(DATABASE_URL="sqlite:////proc/receiver.db")
    assert nowhere.run("keys", "create", "ann").status == 1
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
    assert "nothing was changed" in again.err


def test_an_ambiguous_or_empty_prefix_revokes_nothing(workspace: Workspace) -> None:
    prefixes = {workspace.run("keys", "create", "ann", "--json").json()["prefix"] for _ in range(2)}
    done = workspace.run("keys", "revoke", "rk_")
    assert done.status == 1
    assert prefixes <= set(done.err.splitlines())
    assert workspace.run("keys", "revoke", "").status == 2
    assert all(key["revoked_at"] is None for key in workspace.run("keys", "list", "--json").json())


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
