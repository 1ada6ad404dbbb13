"""Starts that the store refuses: each exits at once, with a message and its exit status.
tests/store/sqlite/test_opening.py has more cases, and shows that a refusal changes nothing."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from store.sqlite.connection import prepare
from tests.crash.processes import Service


async def assert_refused(service: Service, *words: str) -> None:
    ended = await service.run("serve")
    assert ended.status == 1, ended
    for said in words:
        assert said.lower() in ended.err.lower()
    assert "Traceback" not in ended.err + ended.out
    assert "Internal error" not in ended.err


def newer(database: Path) -> None:
    prepare(database)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA user_version = 1000")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(
            lambda database: database.write_text("Dear diary, I was taken for a database.\n" * 100),
            ("not a database", "RECEIVER_DATABASE_URL"),
            id="a file that is no database",
        ),
        pytest.param(newer, ("newer", "Install that release."), id="one of a newer release"),
        pytest.param(Path.mkdir, ("receiver.db", "RECEIVER_DATABASE_URL"), id="a folder"),
    ],
)
async def test_what_is_in_the_place_of_the_database(
    tmp_path: Path, make: Callable[[Path], object], words: tuple[str, ...]
) -> None:
    service = Service(tmp_path)
    make(service.database)
    await assert_refused(service, *words)
