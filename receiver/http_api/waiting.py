"""Holds a response until its job has reached a state."""

import asyncio
from collections.abc import Callable

import structlog
from starlette.types import Receive

from receiver.http_api.body import ClientGone
from receiver.http_api.context import ApiContext
from receiver.streams import hub
from store.records import Job

READ_AGAIN_SECONDS = 0.5
"""Pause after a failed read, unless the job changes earlier."""

log = structlog.get_logger()


async def wait_for(
    context: ApiContext, receive: Receive, job: Job, is_enough: Callable[[Job], bool], until: float
) -> Job:
    """Wait until `is_enough`, `until` (monotonic seconds) or shutdown, and return the job.

    The job is stored, so a failed read must not become an error response: the client would submit
    it again. The job is then returned as last seen.

    Raises:
        ClientGone: the client disconnected.
    """
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        with context.hub.subscribed(hub.of_job(job.id), hub.Queue.STOP) as subscription:
            gone.add_done_callback(lambda _: subscription.notify())
            while True:
                pause = float("inf")
                try:
                    job = await context.services.store.jobs.find(job.id) or job
                except Exception as error:  # noqa: BLE001 - the job is stored in any case
                    log.warning("a waiting request cannot read its job", job=job.id, why=str(error))
                    pause = READ_AGAIN_SECONDS
                left = until - context.services.clock.monotonic()
                if gone.done():
                    raise ClientGone
                if is_enough(job) or left <= 0 or context.stopping:
                    return job
                await subscription.wait(min(left, pause))
    finally:
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
