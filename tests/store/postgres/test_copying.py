"""Everything that SQLite keeps, found again in PostgreSQL."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from store.copying import TABLES, copy_to_postgres
from store.errors import StoreInUse, StoreMoved, StoreUnavailable, TargetNotEmpty
from store.holds import Hold, ProviderHolds, Refusal
from store.open import open_store
from store.postgres.address import parse
from store.postgres.connection import connect
from store.records import DeliveryState, IdempotencyKey, Job, Lane, Move
from store.sqlite.backup import back_up
from tests.store.postgres.conftest import opened
from tests.store.world import (
    HOOK,
    NOW,
    SECOND,
    TRACE,
    World,
    accepted,
    completed,
    failed,
    new,
    rendering,
    waiting,
)
from tests.support.postgres_server import PostgresServer


@pytest.fixture
def target(postgres_server: PostgresServer) -> str:
    return postgres_server.new_schema_url()


async def lived_in(path: Path) -> tuple[World, list[Job]]:
    """A SQLite database with something in every table; closed."""
    store = await open_store(f"sqlite:///{path}", serving=True)
    world = await World.begin(store)
    job = world.job(metadata={"order": "7", "note": "a\0b ü"})
    key = IdempotencyKey("/v1/jobs", "once", "same", NOW + SECOND, NOW + 60 * SECOND)
    await store.jobs.create(replace(new(job), trace_context=TRACE), key)
    hooked = await world.create(webhook_url=HOOK, webhook_events=("IN_PROGRESS", "COMPLETED"))
    await world.advance(hooked, rendering(relay=True), completed(relay=True))
    for number, delivery in enumerate(await world.lease()):
        await world.settle(delivery, DeliveryState.PENDING, NOW + number)
    gone = await world.create(world.bob)
    await world.advance(gone, failed(NOW - 9))
    kept = await world.create(world.bob)
    await world.advance(kept, accepted(provider_request_id="p", message="nul \0 here"))
    assert await store.jobs.remove_finished(NOW - 8, 9) == 1
    for body in (b"{}", b'{"status":"\xff"}'):
        await world.receive(kept, body)
    await store.callbacks.receive(
        "samsar", kept.id, b"signed", "", NOW, None, readable=True, verified=True
    )
    await world.advance(
        kept,
        lambda job: Move(
            replace(job, provider_urls={"status": HOOK}, cancel_wanted=True),
            whole_result={"seed": 2**70},
        ),
    )
    refusal = Refusal(job.id, world.ann.id, "ann", 429)
    holds = ProviderHolds(Hold(NOW + SECOND, SECOND, (refusal,)))
    await store.submissions.change_holds("samsar", lambda _: holds)
    jobs = [found for each in (job, hooked, kept) if (found := await store.jobs.find(each.id))]
    await store.close()
    return world, jobs


async def test_everything_is_there_and_goes_on(tmp_path: Path, target: str) -> None:
    world, jobs = await lived_in(tmp_path / "receiver.db")

    copied = copy_to_postgres(tmp_path / "receiver.db", target)

    assert tuple(copied) == TABLES
    with closing(sqlite3.connect(tmp_path / "receiver.db")) as source:
        kept = source.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        assert {name for (name,) in kept if name[:7] != "sqlite_"} == {*TABLES, "meta"}
    assert copied["jobs"] == len(jobs) == 3
    assert copied["job_results"] == 1
    store = await opened(target)
    assert await store.jobs.trace_context_of(jobs[0].id) == TRACE
    assert await store.jobs.whole_result_of(jobs[-1].id) == {"seed": 2**70}
    for job in jobs:
        found = await store.jobs.find(job.id)
        assert found is not None
        assert found == job or found.message == "nul \N{SYMBOL FOR NULL} here"
        assert await store.jobs.input_of(job.id) == {"prompt": "a cat"}
        assert await store.jobs.history_of(job.id)
    assert [callback.body for callback in await waiting(store)] == [
        b"{}",
        b'{"status":"\xff"}',
        b"signed",
    ]
    # Numbers go on where they were.
    world.store = store
    before = await store.events.latest_seq(world.bob.id)
    await world.create(world.bob)
    assert await store.events.latest_seq(world.bob.id) == before + 1
    await world.receive(jobs[0], b"[]")
    assert await store.jobs.lease_due(Lane.SUBMIT, NOW, NOW + SECOND, "me", 9)
    assert (await store.submissions.holds())["samsar"].everybody is not None
    await store.close()


async def test_a_source_that_is_served_or_not_there_is_not_copied(
    tmp_path: Path, target: str
) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/receiver.db", serving=True)
    with pytest.raises(StoreInUse):
        copy_to_postgres(tmp_path / "receiver.db", target)
    await store.close()

    with pytest.raises(StoreUnavailable, match="there is no database"):
        copy_to_postgres(tmp_path / "none.db", target)
    assert not (tmp_path / "none.db").exists()


async def test_a_row_that_does_not_fit_leaves_nothing_and_the_source_is_served_again(
    tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lived_in(tmp_path / "receiver.db")
    monkeypatch.setattr("store.copying.TABLES", ("users", "events"))  # events without their jobs

    with pytest.raises(Exception, match="foreign key"):
        copy_to_postgres(tmp_path / "receiver.db", target)

    with connect(parse(target)) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)
    await (await open_store(f"sqlite:///{tmp_path}/receiver.db", serving=True)).close()


async def test_a_copy_stays_marked_as_one(tmp_path: Path, target: str) -> None:
    """What a fresh backup shows as queued may have been sent since it was made."""
    await lived_in(tmp_path / "receiver.db")
    back_up(tmp_path / "receiver.db", tmp_path / "backup.db")

    copy_to_postgres(tmp_path / "backup.db", target)

    store = await opened(target)
    assert await store.restored()
    await store.close()


async def test_what_has_moved_is_not_served_any_more(tmp_path: Path, target: str) -> None:
    await lived_in(tmp_path / "receiver.db")
    copy_to_postgres(tmp_path / "receiver.db", target)

    with pytest.raises(TargetNotEmpty):
        copy_to_postgres(tmp_path / "receiver.db", target)
    with connect(parse(target)) as connection:
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (3,)
    moved = await opened(target)
    assert not await moved.restored()
    await moved.close()
    with pytest.raises(StoreMoved, match="has moved to "):
        await open_store(f"sqlite:///{tmp_path}/receiver.db", serving=True)
    # Commands may still look at it.
    await (await open_store(f"sqlite:///{tmp_path}/receiver.db")).close()


async def test_what_has_moved_before_is_copied_again_as_a_copy(
    tmp_path: Path, target: str, postgres_server: PostgresServer
) -> None:
    await lived_in(tmp_path / "receiver.db")
    copy_to_postgres(tmp_path / "receiver.db", target)

    another = postgres_server.new_schema_url()
    copy_to_postgres(tmp_path / "receiver.db", another)

    store = await opened(another)
    assert await store.restored()
    await store.close()


async def test_death_before_the_source_is_marked_leaves_a_target_that_sends_nothing_again(
    tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    def die(*_: object) -> NoReturn:
        raise Died

    await lived_in(tmp_path / "receiver.db")
    monkeypatch.setattr("store.copying.mark_moved", die)
    with pytest.raises(Died):
        copy_to_postgres(tmp_path / "receiver.db", target)

    store = await opened(target)
    assert await store.restored()
    await store.close()
    await (await open_store(f"sqlite:///{tmp_path}/receiver.db", serving=True)).close()
