"""Renews the leases of running downloads."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from receiver.engine.context import ServiceContext
from receiver.engine.worker import Worker
from store.records.times import Lease, Millis

DOWNLOAD_LEASE: Millis = 60_000
"""Much shorter than a download may take, so that those of a dead process soon start again."""
RENEWAL_SECONDS = 15.0

log = structlog.get_logger()


class DownloadLeases(Worker):
    """The worker that renews the leases of this process's downloads, and cancels downloads whose
    lease was lost: it expired, as during a suspension, and another process may have leased the job,
    or it was ended by a change of the job, such as a renewed link. In the second case the download
    starts again, with the same link.

    Until the renewal after a suspension, such a download can still replace the file that the other
    process stored; the bytes differ only if the host has changed its answer meanwhile.
    """

    name = "download leases"

    def __init__(self, services: ServiceContext) -> None:
        self._services = services
        self._running: dict[str, asyncio.Task[object]] = {}
        """By job."""

    def new(self) -> Lease:
        """A lease of this process, starting now."""
        return Lease(self._services.holder, self._services.clock.now() + DOWNLOAD_LEASE)

    @contextmanager
    def kept(self, job_id: str) -> Iterator[None]:
        """Renew the lease of a job during the block; if it is lost, cancel the current task."""
        task = asyncio.current_task()
        assert task is not None
        self._running[job_id] = task
        try:
            yield
        finally:
            del self._running[job_id]

    async def run_once(self) -> int:
        running = dict(self._running)
        if running:
            held = await self._services.store.jobs.renew([*running], self.new())
            for job_id in running.keys() - held:
                # If the block has just ended, the lease ended with it.
                if self._running.get(job_id) is running[job_id]:
                    log.warning("the lease of a download was lost", job=job_id)
                    running[job_id].cancel()
        return 0

    async def idle(self) -> None:
        await self._services.clock.sleep(RENEWAL_SECONDS)
