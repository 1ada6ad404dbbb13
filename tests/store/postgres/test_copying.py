"""Everything that SQLite keeps, found again in PostgreSQL."""

from dataclasses import replace
from pathlib import Path

import pytest

from store.copying import TABLES, copy_to_postgres
from store.errors import StoreInUse, StoreUnavailable, TargetNotEmpty
from store.open import open_store
from store.postgres.address import parse
from store.postgres.connection import connect
from store.records import DeliveryState, IdempotencyKey, Job, Lane
from tests.postgres_server import PostgresServer
from tests.store.postgres.conftest import opened
from tests.store.world import (
    HOOK,
    NOW,
    SECOND,
    TRACE,
    World,
    accepted,
    attempt,
    completed,
    failed,
    new,
    rendering,
)


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
        await store.deliveries.settle(
            delivery.id, "me", attempt(), DeliveryState.PENDING, NOW + number, host_off=False
        )
    gone = await world.create(world.bob)
    await world.advance(gone, failed(NOW - 9))
    kept = await world.create(world.bob)
    await world.advance(kept, accepted(provider_request_id="p", message="nul \0 here"))
    assert await store.jobs.remove_finished(NOW - 8, 9) == 1
    for body in (b"{}", b'{"status":"\xff"}'):
        await world.receive(kept, body)
    await store.jobs.hold_submissions("samsar", NOW + SECOND)
    jobs = [found for each in (job, hooked, kept) if (found := await store.jobs.find(each.id))]
    await store.close()
    return world, jobs


async def test_everything_is_there_and_goes_on(tmp_path: Path, target: str) -> None:
    world, jobs = await lived_in(tmp_path / "receiver.db")

    copied = copy_to_postgres(tmp_path / "receiver.db", target)

    assert tuple(copied) == TABLES
    assert copied["jobs"] == len(jobs) == 3
    store = await opened(target)
    assert await store.jobs.trace_context_of(jobs[0].id) == TRACE
    for job in jobs:
        found = await store.jobs.find(job.id)
        assert found is not None
        assert found == job or found.message == "nul \N{SYMBOL FOR NULL} here"
        assert await store.jobs.input_of(job.id) == {"prompt": "a cat"}
        assert await store.jobs.history_of(job.id)
    assert [callback.body for callback in await store.callbacks.waiting(9)] == [
        b"{}",
        b'{"status":"\xff"}',
    ]
    # Numbers go on where they were.
    world.store = store
    before = await store.events.latest_seq(world.bob.id)
    await world.create(world.bob)
    assert await store.events.latest_seq(world.bob.id) == before + 1
    await world.receive(jobs[0], b"[]")
    assert await store.jobs.lease_due(Lane.SUBMIT, NOW, NOW + SECOND, "me", 9)
    await store.close()


async def test_a_target_that_is_not_empty_is_left_alone(tmp_path: Path, target: str) -> None:
    await lived_in(tmp_path / "receiver.db")
    copy_to_postgres(tmp_path / "receiver.db", target)

    with pytest.raises(TargetNotEmpty):
        copy_to_postgres(tmp_path / "receiver.db", target)

    with connect(parse(target)) as connection:
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (3,)


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


async def test_a_row_that_does_not_fit_leaves_nothing(
    tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lived_in(tmp_path / "receiver.db")
    monkeypatch.setattr("store.copying.TABLES", ("users", "events"))  # events without their jobs

    with pytest.raises(Exception, match="foreign key"):
        copy_to_postgres(tmp_path / "receiver.db", target)

    with connect(parse(target)) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)
