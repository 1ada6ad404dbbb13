"""An answer that is held until a job is far enough."""

import asyncio
from collections.abc import Callable

from starlette.types import Receive

from receiver.http_api.body import ClientGone
from receiver.http_api.parts import Parts
from receiver.streams import hub
from store.records import Job


async def wait_for(
    parts: Parts, receive: Receive, job: Job, is_enough: Callable[[Job], bool], until: float
) -> Job:
    """The job once `is_enough`, or as it is at `until` (monotonic seconds) or at shutdown.

    Raises:
        ClientGone: nobody waits any more.
    """
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        with parts.hub.bell(hub.of_job(job.id), hub.Queue.STOP) as bell:
            gone.add_done_callback(lambda _: bell.ring())
            while True:
                job = await parts.core.store.jobs.find(job.id) or job
                left = until - parts.core.clock.monotonic()
                if gone.done():
                    raise ClientGone
                if is_enough(job) or left <= 0 or parts.stopping:
                    return job
                await bell.wait(left)
    finally:
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
