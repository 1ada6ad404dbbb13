"""A client waits for its cancel: it goes before what nobody waits for."""

import asyncio
from pathlib import Path

from receiver.actions.cancel_job import cancel_job
from store.database import Store
from store.records import Status
from tests.store.gate import held
from tests.store.world import change
from tests.workers.surroundings import surroundings


async def test_a_cancel_goes_before_the_work_that_was_there_first(tmp_path: Path) -> None:
    async with surroundings(tmp_path) as around:
        canceled, *others = [await around.taken(f"up-{number}") for number in range(4)]
        assert isinstance(around.store, Store)
        gate, holding = await held(around.store._writer)
        before = await around.store.events.latest_seq(canceled.user_id)
        working = [
            asyncio.ensure_future(around.store.jobs.advance(job.id, change())) for job in others
        ]
        canceling = asyncio.ensure_future(cancel_job(around.services, canceled.id))
        await asyncio.sleep(0)
        gate.open()
        await asyncio.gather(holding, canceling, *working)

        events = await around.store.events.after_for_user(canceled.user_id, before, 9)
        assert [event.job_id for event in events] == [job.id for job in (canceled, *others)]
        assert (await around.found(canceled)).status is Status.CANCELLED
