"""A client waits for its cancel, so it goes before background work."""

import asyncio

from receiver.engine.cancel_job import cancel_job
from store.records.jobs import Status
from tests.engine.harness import Harness
from tests.store.gate import block
from tests.store.world import change


async def test_a_cancel_goes_before_background_work(harness: Harness) -> None:
    canceled, *others = [await harness.accepted_job(f"up-{number}") for number in range(4)]
    gate, blocked = await block(harness.store._writer)
    before = (await harness.store.events.latest(canceled.user_id)).seq
    working = [
        asyncio.ensure_future(harness.store.jobs.advance(job.id, change())) for job in others
    ]
    canceling = asyncio.ensure_future(cancel_job(harness.services, canceled.id))
    await asyncio.sleep(0)
    gate.open()
    await asyncio.gather(blocked, canceling, *working)

    events = await harness.store.events.after_for_user(canceled.user_id, before, 9)
    assert [event.job_id for event in events] == [job.id for job in (canceled, *others)]
    assert (await harness.find(canceled)).status is Status.CANCELLED
