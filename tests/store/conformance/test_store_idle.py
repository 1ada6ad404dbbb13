"""A service to which nothing happens writes nothing, and looks for changes once a second."""

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from store.postgres.address import parse
from store.postgres.connection import connect
from tests.support.service import running_service

SECONDS = 2.5

STARTS = "SELECT pid, query_start, query FROM pg_stat_activity WHERE application_name = 'receiver'"


async def test_an_idle_service_writes_nothing_to_sqlite(tmp_path: Path) -> None:
    async with running_service(tmp_path):
        await asyncio.sleep(2)  # the work of the start
        with closing(sqlite3.connect(tmp_path / "receiver.db")) as database:

            def state() -> list[object]:
                version = database.execute("PRAGMA data_version").fetchone()
                return [version, *((file.name, file.stat().st_mtime_ns) for file in files)]

            files = [tmp_path / "receiver.db", tmp_path / "receiver.db-wal"]
            before = state()
            await asyncio.sleep(SECONDS)
            assert state() == before


async def test_an_idle_service_takes_no_transaction_id_and_looks_once_a_second(
    tmp_path: Path, postgres_url: str
) -> None:
    with connect(parse(postgres_url)) as watch:
        watch.execute("SET application_name = 'watch'")

        def ids() -> list[tuple[object, ...]]:
            return watch.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())").fetchall()

        async with running_service(tmp_path, database_url=postgres_url, secret_keys="k" * 40):
            await asyncio.sleep(2)
            before, known = ids(), set(watch.execute(STARTS))
            end = time.monotonic() + SECONDS
            seen = set()
            while time.monotonic() < end:
                seen |= {*watch.execute(STARTS)} - known
                await asyncio.sleep(0.01)
            assert ids() == before
    looks = [query for _, _, query in seen]
    assert 1 <= len(looks) <= SECONDS + 1, looks
