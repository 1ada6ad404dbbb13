"""The recovery of a restored copy."""

import pytest

from receiver.engine.recover import recover
from receiver.engine.supervisor import BATCH
from store.records.jobs import Job, Phase
from tests.engine.harness import Harness, logged


async def test_what_a_copy_shows_as_queued_becomes_unconfirmed(harness: Harness) -> None:
    jobs = [await harness.world.create() for _ in range(BATCH + 2)]
    await harness.store.mark_as_copy()
    with logged() as lines:
        await recover(harness.services)
    assert [line["jobs"] for line in lines if line["log_level"] == "warning"] == [BATCH + 2]
    found = [await harness.find(job) for job in jobs]
    assert {job.phase for job in found} == {Phase.SUBMIT_UNCONFIRMED}
    assert not await harness.store.is_unused_copy()


async def test_what_another_replica_has_queued_since_it_recovered_the_copy_stays_queued(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.store.mark_as_copy()
    queued: list[Job] = []
    in_phase = harness.store.jobs.in_phase

    async def slower_than_the_other_one(phase: Phase, limit: int) -> list[str]:
        if not queued:
            await harness.store.remove_copy_mark()
            queued.append(await harness.world.create())
        return await in_phase(phase, limit)

    monkeypatch.setattr(harness.store.jobs, "in_phase", slower_than_the_other_one)
    await recover(harness.services)
    assert (await harness.find(queued[0])).phase is Phase.QUEUED
