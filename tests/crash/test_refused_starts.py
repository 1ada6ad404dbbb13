"""Starts that the store refuses: each ends at once, in words, with its exit status. More of what it
refuses, and that it harms nothing, is tested in tests/store/sqlite/test_opening.py."""

import contextlib
import sqlite3
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


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.database.write_text("Dear diary, today I was taken for a database.\n" * 100)
    before = service.database.read_bytes()

    await assert_refused(service, "not a database", "RECEIVER_DATABASE_URL")

    assert service.database.read_bytes() == before


async def test_a_database_of_a_newer_release(tmp_path: Path) -> None:
    service = Service(tmp_path)
    prepare(service.database)
    with contextlib.closing(sqlite3.connect(service.database)) as connection:
        connection.execute("PRAGMA user_version = 1000")

    await assert_refused(service, "newer", "Install that release.")


async def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.database.mkdir()

    await assert_refused(service, str(service.database), "RECEIVER_DATABASE_URL")


@pytest.mark.parametrize(
    ("size", "read_only", "words"), [("16m", True, "read-only"), ("128k", False, "disk is full")]
)
async def test_a_disk_that_takes_no_database(
    tmp_path: Path, size: str, read_only: bool, words: str
) -> None:
    with small_disk(tmp_path / "disk", size, read_only=read_only) as disk:
        service = Service(tmp_path, {"DATABASE_URL": f"sqlite:///{disk}/receiver.db"})

        await assert_refused(service, words)
