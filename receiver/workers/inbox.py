"""Applies stored callbacks: in order for each job, jobs beside one another, again after a crash."""

import asyncio
from collections.abc import Iterable

import structlog

from receiver import tracing
from receiver.actions.accept_callback import read_object
from receiver.actions.core import Core
from receiver.actions.observe_job import observe_job
from receiver.actions.trace_of import trace_of
from receiver.domain.observations import CallbackSaid
from receiver.streams.hub import Hub, Queue
from store.errors import NotFound, StoreUnavailable
from store.records import Callback

BATCH = 200
SAFETY_SECONDS = 1.0
"""A look without a ring, in case one was lost."""

log = structlog.get_logger()


class Inbox:
    """The worker behind the callback route."""

    name = "inbox"

    def __init__(self, core: Core, hub: Hub) -> None:
        self._core = core
        self._bell = hub.lasting_bell(Queue.INBOX)

    async def run_once(self) -> int:
        """Apply what waits, a batch; how many callbacks that were."""
        waiting = await self._core.store.callbacks.waiting(BATCH)
        by_job: dict[str, list[Callback]] = {}
        for callback in waiting:
            by_job.setdefault(callback.job_id, []).append(callback)
        await asyncio.gather(*(self._apply_in_order(each) for each in by_job.values()))
        return len(waiting)

    async def idle(self) -> None:
        await self._bell.wait(SAFETY_SECONDS)

    async def stop(self) -> None:
        """Nothing is held: what was not applied is applied at the next start."""

    async def _apply_in_order(self, callbacks: Iterable[Callback]) -> None:
        for callback in callbacks:
            try:
                await self._apply(callback)
            except NotFound:
                return  # its job was removed, and it with the job
            except StoreUnavailable:
                raise
            except Exception as error:
                # Whatever it is, one callback must not hold up the others, nor its job for ever.
                tries = await self._core.store.callbacks.failed(callback.id, self._core.clock.now())
                log.error(
                    "a callback could not be applied",
                    request_id=callback.job_id,
                    callback=callback.id,
                    tries=tries,
                    exc_info=error,
                )
                return  # in order: the job's later ones wait until this one is through

    async def _apply(self, callback: Callback) -> None:
        trace = await trace_of(self._core, callback.job_id)
        # From its arrival: the route itself is too hot to have a span of its own.
        began = callback.received_at
        with tracing.step("process callback", "consumer", trace, callback.job_id, began):
            provider = self._core.providers[callback.provider]
            report = provider.read(read_object(callback.body) or {})
            said = CallbackSaid(callback.id, callback.received_at, report)
            job, _ = await observe_job(self._core, callback.job_id, said)
            tracing.tell("receiver.job.status", job.status)
