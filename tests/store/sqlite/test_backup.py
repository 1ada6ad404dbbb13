"""Backups, and what commands leave unchanged."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from store.errors import SchemaTooOld, StoreError, StoreUnavailable
from store.open import back_up_store, open_store
from store.sqlite import backup, connection
from store.sqlite.backup import back_up
from store.sqlite.connection import SCHEMA, connect_reader, prepare
from tests.store.sqlite.conftest import address
from tests.store.world import World, opened


async def test_a_copy_is_marked_as_one_until_it_is_served(tmp_path: Path) -> None:
    async with opened(address(tmp_path / "receiver.db")) as store:
        world = await World.begin(store)
        job = await world.create()
        await back_up_store(address(tmp_path / "receiver.db"), tmp_path / "copy.db")
        lost = await world.create()

    async with opened(address(tmp_path / "copy.db")) as copy:
        assert await copy.is_unused_copy()
        assert await copy.jobs.find(job.id) == job
        assert await copy.jobs.find(lost.id) is None
        await copy.remove_copy_mark()
    async with opened(address(tmp_path / "copy.db")) as again:
        assert not await again.is_unused_copy()


async def test_a_copy_that_fails_leaves_no_file(tmp_path: Path) -> None:
    database = tmp_path / "receiver.db"
    with pytest.raises(StoreError):
        await back_up_store(address(database), tmp_path / "copy.db")
    prepare(database)
    with pytest.raises(StoreUnavailable):
        await back_up_store(address(database), tmp_path / "nowhere" / "copy.db")

    assert [*tmp_path.iterdir()] == [database]


def test_a_copy_has_its_name_only_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "receiver.db", tmp_path / "copy.db"
    prepare(source)

    def another_appears(_source: Path, partial: Path, _is_stopped: object) -> None:
        assert not target.exists()
        partial.write_text("a part")
        target.write_text("of somebody else")

    monkeypatch.setattr(backup, "_copy", another_appears)
    with pytest.raises(FileExistsError):
        back_up(source, target)

    assert target.read_text() == "of somebody else"
    assert {*tmp_path.iterdir()} == {source, target}


async def test_a_backup_that_is_cancelled_stops(tmp_path: Path) -> None:
    database = tmp_path / "receiver.db"
    prepare(database)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(
            "CREATE TABLE large AS WITH RECURSIVE rows(n) AS"
            " (SELECT 1 UNION ALL SELECT n + 1 FROM rows LIMIT 300000) SELECT n FROM rows"
        )
    backing_up = asyncio.create_task(back_up_store(address(database), tmp_path / "copy.db"))
    await asyncio.sleep(0)
    backing_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await backing_up
    await asyncio.get_running_loop().shutdown_default_executor()
    assert list(tmp_path.glob("copy.db*")) == []


async def test_only_a_service_upgrades_the_database_of_an_older_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older release's service, which may be running, could not use the database any more."""
    database, copy = tmp_path / "receiver.db", tmp_path / "copy.db"
    prepare(database)
    newer = replace(SCHEMA, upgrades=(*SCHEMA.upgrades, "CREATE TABLE more (n int);"))
    monkeypatch.setattr(connection, "SCHEMA", newer)
    with pytest.raises(SchemaTooOld):
        await open_store(address(database))
    await back_up_store(address(database), copy)
    with closing(connect_reader(copy)) as copied:
        assert copied.execute("PRAGMA user_version").fetchone() == (SCHEMA.version,)
    for each in (copy, database):
        await (await open_store(address(each), serving=True)).close()
    await (await open_store(address(database))).close()
