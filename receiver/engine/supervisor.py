"""Runs the workers. A worker that fails is restarted; the others keep running."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

import structlog

from receiver.clock import Clock
from receiver.telemetry.metrics import Metrics
from store.errors import StoreUnavailable

BATCH = 100
"""The most rows that are read or changed at once, where any number may have to be."""

UPKEEP_SECONDS = 30.0
"""Pause of the workers for which nothing is urgent: retention, gauges, removal of files."""

RETRY_SECONDS = 1.0
"""Pause after a failure. Accepted work waits for the store, so it must not wait much longer than an
outage lasts."""

log = structlog.get_logger()


class Worker(Protocol):
    """A background part of the service."""

    name: str

    async def run_once(self) -> int:
        """Do or start work that is due now. Returns how much; after 0 the loop calls `idle`."""
        ...

    async def idle(self) -> None:
        """Wait until there may be work."""
        ...

    async def stop(self) -> None:
        """Finish the work under way within a few seconds. `run_once` is not called after this."""
        return


class Supervisor:
    """Runs each worker's loop in its own task."""

    def __init__(self, workers: Sequence[Worker], clock: Clock, metrics: Metrics) -> None:
        self._workers = workers
        self._clock = clock
        self._metrics = metrics
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        for worker in self._workers:
            self.keep_running(worker.name, partial(_loop, worker))

    def keep_running(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Run `loop`, and restart it whenever it fails, until `stop`."""
        self._tasks.append(asyncio.create_task(self._keep_running(name, loop), name=name))

    async def stop(self) -> None:
        """End the loops, then stop each worker."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*map(self._stop, self._workers))

    async def _stop(self, worker: Worker) -> None:
        """Stop a worker. A failure is only logged: the next start recovers from it."""
        try:
            await worker.stop()
        except StoreUnavailable as error:
            log.warning("worker stopped without the store", worker=worker.name, reason=str(error))
        except Exception as error:
            # A worker that fails to stop must not prevent the others from stopping.
            log.error("worker failed to stop", worker=worker.name, exc_info=error)

    async def _keep_running(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await loop()
            except StoreUnavailable as error:
                log.warning("worker waits for the store", worker=name, reason=str(error))
            except Exception as error:
                # Any error restarts this worker only.
                log.error("worker failed", worker=name, exc_info=error)
            self._metrics.worker_failures.labels(name).inc()
            await self._clock.sleep(RETRY_SECONDS)


async def _loop(worker: Worker) -> None:
    while True:
        if not await worker.run_once():
            await worker.idle()
