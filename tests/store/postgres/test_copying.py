"""Copying a SQLite store to PostgreSQL."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import NoReturn, TypeAlias

import psycopg
import pytest

from store import copying
from store.copying import copy_to_postgres
from store.errors import StoreMoved, StoreUnavailable
from store.idempotency import IdempotencyKey, Replay
from store.ledger import SpendFilter
from store.open import open_store
from store.postgres.address import parse
from store.postgres.connection import connect
from store.records.costs import Budget, Cost, CostState
from store.records.deliveries import DeliveryState
from store.records.jobs import Job
from store.records.times import Lane
from store.records.transitions import Transition
from store.rows import to_json
from store.sqlite.backup import back_up
from tests.store.world import (
    HOOK,
    NOW,
    SECOND,
    World,
    accepted,
    add_key,
    completed,
    failed,
    lease_due,
    new,
    opened,
    rendering,
)
from tests.support.postgres_server import PostgresServer


@pytest.fixture
def target(postgres_server: PostgresServer) -> str:
    return postgres_server.new_schema_url()


AMOUNT = Decimal("12345678901.000000000000000000000001")
COST = Cost(AMOUNT, "USD", CostState.RESERVED, AMOUNT, {"predict_time": Decimal("0.5")})
BUDGET = Budget.read("999999999999/day")
KEY = IdempotencyKey("/v1/jobs", "once", "same", NOW, NOW + SECOND, NOW + 60 * SECOND)


async def fill(path: Path) -> tuple[World, list[Job]]:
    """Create a SQLite database with rows in every table, and with the leases of a dead process."""
    async with opened(f"sqlite:///{path}") as store:
        world = await World.begin(store)
        job = world.job(metadata={"order": "7", "note": "a\0b ü"}, cost=COST)
        await store.jobs.create(new(job), KEY)
        hooked = await world.create(webhook_url=HOOK, webhook_events=("IN_PROGRESS", "COMPLETED"))
        await world.advance(hooked, rendering(relay=True), completed(relay=True))
        for number, delivery in enumerate(await world.lease()):
            await world.settle(delivery, DeliveryState.PENDING, NOW + number)
        gone = await world.create(world.bob)
        await world.advance(gone, failed(NOW - 9))
        kept = await world.create(world.bob)
        await world.advance(kept, accepted(provider_request_id="p", message="nul \0 here"))
        assert await world.remove_finished(NOW - 8) == 1
        for body in (b"{}", b'{"status":"\xff"}'):
            await world.receive(kept, body)
        await world.receive(kept, b"signed", verified=True)
        await store.ledger.set_budget((await add_key(store, "cyd")).name, BUDGET, NOW)
        await world.advance(
            kept,
            lambda job: Transition(
                replace(job, provider_urls={"status": HOOK}, cancel_wanted=True),
                whole_result={"seed": 2**70},
            ),
        )
        assert await lease_due(store, Lane.SUBMIT, NOW, NOW + SECOND, "dead", 9) == [job]
        assert len(await world.lease("dead", NOW + SECOND)) == 1
        jobs = [found for each in (job, hooked, kept) if (found := await store.jobs.find(each.id))]
    return world, jobs


Filled: TypeAlias = tuple[Path, World, list[Job]]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """A closed database with rows in every table, its world, and some of its jobs."""
    path = tmp_path_factory.mktemp("filled") / "receiver.db"
    return path, *asyncio.run(fill(path))


@pytest.fixture
def source(filled: Filled, tmp_path: Path) -> Path:
    """A copy of the filled database."""
    return Path(shutil.copy(filled[0], tmp_path / "receiver.db"))


async def test_everything_is_copied_and_numbering_continues(
    filled: Filled, source: Path, target: str
) -> None:
    _, world, jobs = filled

    copied = copy_to_postgres(source, target)

    with closing(sqlite3.connect(source)) as database:
        kept = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        assert {name for (name,) in kept if name[:7] != "sqlite_"} == {*copied, "meta"}
    assert copied["jobs"] == len(jobs) == 3
    assert copied["job_results"] == 1
    async with opened(target) as store:
        assert await store.jobs.result_of(jobs[-1].id) == to_json({"seed": 2**70})
        for job in jobs:
            found = await store.jobs.find(job.id)
            assert found is not None
            assert found == job or found.message == "nul \N{SYMBOL FOR NULL} here"
            assert await store.jobs.input_of(job.id) == '{"prompt":"a cat"}'
            assert await store.jobs.history_of(job.id)
        assert await store.ledger.list_budgets() == [("cyd", BUDGET.text)]
        where = SpendFilter(world.ann.id, "USD", metadata={"order": "7"})
        assert [row.reserved for row in await store.ledger.spend("user", where)] == [AMOUNT]
        bodies = [(b"{}", False), (b'{"status":"\xff"}', False), (b"signed", True)]
        sql = "SELECT body, verified FROM callbacks ORDER BY id"
        assert await store._reads.fetch(sql, {}) == bodies
        # Nothing is leased.
        world = replace(world, store=store)
        assert await lease_due(store, Lane.SUBMIT, NOW, NOW + SECOND, "me", 9) == [jobs[0]]
        assert len(await world.lease(at=NOW + SECOND)) == 1
        assert await store.idempotency.find(world.ann.id, KEY) == Replay(jobs[0].id, None)
        # Numbering continues.
        before = (await store.events.latest(world.bob.id)).seq
        await world.create(world.bob)
        assert (await store.events.latest(world.bob.id)).seq == before + 1
        await world.receive(jobs[0], b"[]")


def test_a_missing_source_is_not_created(tmp_path: Path, target: str) -> None:
    with pytest.raises(StoreUnavailable, match="there is no database"):
        copy_to_postgres(tmp_path / "none.db", target)
    assert not (tmp_path / "none.db").exists()


async def test_a_copy_that_fails_changes_nothing_and_one_that_succeeds_is_on_disk(
    source: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, found = copying._copy, set()

    def fail_at_jobs(old: sqlite3.Connection, new: psycopg.Connection, table: str) -> int:
        found.add(new.execute("SHOW synchronous_commit").fetchone())
        assert table != "jobs"
        return copy(old, new, table)

    monkeypatch.setattr(copying, "_copy", fail_at_jobs)
    with pytest.raises(AssertionError):
        copy_to_postgres(source, f"{target}%20-csynchronous_commit%3Doff")

    assert found == {("on",)}, "before the source is marked"
    with connect(parse(target)) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)
    await (await open_store(f"sqlite:///{source}", serving=True)).close()


@pytest.mark.parametrize("copied", ["backup.db", "receiver.db"])
async def test_a_copy_of_a_backup_or_of_a_moved_database_is_marked_as_a_copy(
    source: Path, target: str, postgres_server: PostgresServer, copied: str
) -> None:
    """What such a database shows as queued may have been sent since the copy was made."""
    back_up(source, source.with_name("backup.db"))
    copy_to_postgres(source, target)

    another = postgres_server.new_schema_url()
    copy_to_postgres(source.with_name(copied), another)

    async with opened(another) as store:
        assert await store.is_unused_copy()


async def test_a_source_that_has_moved_cannot_be_used(source: Path, target: str) -> None:
    copy_to_postgres(source, target)

    async with opened(target) as moved:
        assert not await moved.is_unused_copy()
    for serving in (True, False):  # a key that was revoked in the target would still work
        with pytest.raises(StoreMoved, match="has moved to "):
            await open_store(f"sqlite:///{source}", serving=serving)
    with pytest.raises(StoreMoved):
        back_up(source, source.with_name("backup.db"))


async def test_a_crash_before_the_source_is_marked_leaves_a_target_marked_as_a_copy(
    source: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    def die(*_: object) -> NoReturn:
        raise Died

    monkeypatch.setattr("store.copying._mark_moved", die)
    with pytest.raises(Died):
        copy_to_postgres(source, target)

    async with opened(target) as store:
        assert await store.is_unused_copy()
    await (await open_store(f"sqlite:///{source}", serving=True)).close()
