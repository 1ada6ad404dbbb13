"""Starts that cannot be: each ends at once, in words, with its exit status, and harms nothing. What
the store itself refuses is tested in tests/store/sqlite/test_opening.py."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from store.sqlite.connection import prepare
from tests.crash.disks import small_disk
from tests.crash.processes import Service


async def assert_refused(service: Service, *words: str) -> None:
    ended = await service.run("serve")
    assert ended.status == 1, ended
    for said in words:
        assert said.lower() in ended.err.lower()
    assert "Traceback" not in ended.err + ended.out
    assert "Internal error" not in ended.err


def text_file(database: Path) -> None:
    database.write_text("Dear diary, today I was taken for a database.\n" * 100)


def of_another_application(database: Path) -> None:
    run(database, "CREATE TABLE recipes (name TEXT)")


def of_a_newer_release(database: Path) -> None:
    prepare(database)
    run(database, "PRAGMA user_version = 1000")


def run(database: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (text_file, ("not a database", "RECEIVER_DATABASE_URL")),
        (of_another_application, ("another application", "RECEIVER_DATABASE_URL")),
        (of_a_newer_release, ("newer",)),
    ],
)
async def test_a_file_that_is_none_of_ours_is_left_as_it_was(
    spoil: Callable[[Path], None], words: tuple[str, ...], tmp_path: Path
) -> None:
    service = Service(tmp_path)
    spoil(service.database)
    before = service.database.read_bytes()

    await assert_refused(service, *words)

    assert service.database.read_bytes() == before


async def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.database.mkdir()

    await assert_refused(service, str(service.database), "RECEIVER_DATABASE_URL")


async def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    service = Service(tmp_path, {"DATABASE_URL": f"sqlite:///{tmp_path}/file/receiver.db"})

    await assert_refused(service, f"{tmp_path}/file")


@pytest.mark.parametrize(
    ("size", "read_only", "words"), [("16m", True, "read-only"), ("128k", False, "disk is full")]
)
async def test_a_disk_that_takes_no_database(
    tmp_path: Path, size: str, read_only: bool, words: str
) -> None:
    with small_disk(tmp_path / "disk", size, read_only=read_only) as disk:
        service = Service(tmp_path, {"DATABASE_URL": f"sqlite:///{disk}/receiver.db"})

        await assert_refused(service, words)
