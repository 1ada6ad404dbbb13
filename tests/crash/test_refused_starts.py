"""Starts that cannot be: each ends at once, in words, with its exit status, and harms nothing."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.disks import small_disk
from tests.crash.processes import Service
from tests.support.forked import Done
from tests.support.ports import free_port


def text_file(database: Path) -> None:
    database.write_text("Dear diary, today I was taken for a database.\n" * 100)


def another_database(database: Path) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")


def assert_refused(ended: Done, status: int, words: str) -> None:
    assert ended.status == status, ended
    assert words in ended.err.lower()
    assert "Traceback" not in ended.err + ended.out
    assert "Internal error" not in ended.err


@pytest.mark.parametrize(
    ("spoil", "words"), [(text_file, "not a database"), (another_database, "another application")]
)
async def test_a_file_that_is_none_of_ours_is_left_as_it_was(
    spoil: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    service = Service(tmp_path)
    spoil(service.database)
    before = service.database.read_bytes()

    ended = await service.run("serve")

    assert_refused(ended, 1, words)
    assert "RECEIVER_DATABASE_URL" in ended.err
    assert service.database.read_bytes() == before


async def test_a_database_of_a_newer_release_is_left_as_it_was(tmp_path: Path) -> None:
    service = Service(tmp_path)
    await service.make_key()
    with contextlib.closing(sqlite3.connect(service.database)) as connection:
        connection.execute("PRAGMA user_version = 1000")
    before = service.database.read_bytes()

    assert_refused(await service.run("serve"), 1, "newer")
    assert service.database.read_bytes() == before


async def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.database.mkdir()

    ended = await service.run("serve")

    assert_refused(ended, 1, str(service.database).lower())
    assert "RECEIVER_DATABASE_URL" in ended.err


async def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    service = Service(tmp_path, {"DATABASE_URL": f"sqlite:///{tmp_path}/file/receiver.db"})

    assert_refused(await service.run("serve"), 1, f"{tmp_path}/file".lower())


@pytest.mark.parametrize(
    ("size", "read_only", "words"), [("16m", True, "read-only"), ("128k", False, "disk is full")]
)
async def test_a_disk_that_takes_no_database(
    tmp_path: Path, size: str, read_only: bool, words: str
) -> None:
    with small_disk(tmp_path / "disk", size, read_only=read_only) as disk:
        service = Service(tmp_path, {"DATABASE_URL": f"sqlite:///{disk}/receiver.db"})

        assert_refused(await service.run("serve"), 1, words)


@pytest.mark.long
async def test_a_second_service_on_the_same_database_by_whatever_path(tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.symlink_to(tmp_path)
    alias = tmp_path / "alias.db"
    async with Service(tmp_path) as service:
        await service.start()
        alias.symlink_to(service.database)
        paths = [
            str(service.database),
            f"../{tmp_path.name}/{service.database.name}",
            str(linked / service.database.name),
            str(alias),
        ]

        ends = await asyncio.gather(
            *(
                service.run(
                    "serve",
                    RECEIVER_PORT=str(free_port()),
                    RECEIVER_DATABASE_URL=f"sqlite:///{path}",
                )
                for path in paths
            )
        )

        for ended in ends:
            assert_refused(ended, 2, "another service runs on")
        assert (await service.terminate())[0] == 0
