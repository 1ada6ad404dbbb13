"""Downloads result files, and removes the files of removed jobs."""

import asyncio
from functools import partial

import structlog

from receiver.actions.context import ServiceContext
from receiver.actions.whole_result import whole_result
from receiver.archive.contract import Archive, ArchiveUnavailable, folder_of, key_of
from receiver.archive.download import Download, Downloader, DownloadFailed
from receiver.domain.archive import next_file
from receiver.domain.lifecycle import deciding
from receiver.domain.observations import (
    DownloadEnded,
    FileFailed,
    FileStored,
    Observation,
    ResultRead,
)
from receiver.streams.hub import Hub
from receiver.workers.download_leases import DOWNLOAD_LEASE, DownloadLeases
from receiver.workers.worker import SAFETY_SECONDS, DueTimer, TaskPool, until_stored
from store.errors import NotFound
from store.records.jobs import Job
from store.records.times import Lane

TOTAL_SECONDS = 1800.0
"""Maximum duration of an attempt, until the file is durable."""
MAINTENANCE_SECONDS = 30.0
ARCHIVE_SWEEP_SECONDS = 3600.0
DOWNLOAD_DRAIN_SECONDS = 1.0
REMOVALS_AT_ONCE = 64

log = structlog.get_logger()


class Archiver:
    """The worker behind ARCHIVE_URL."""

    name = "archive"

    def __init__(
        self,
        services: ServiceContext,
        hub: Hub,
        archive: Archive,
        downloader: Downloader,
        concurrency: int,
    ) -> None:
        """`concurrency`: maximum number of simultaneous downloads, one per job."""
        self.leases = DownloadLeases(services)
        """To be run beside this worker, which may wait for the archive."""
        self._services = services
        self._store = services.store
        self._archive = archive
        self._downloader = downloader
        self._timer = DueTimer(services, hub, Lane.ARCHIVE)
        self._task_pool = TaskPool(concurrency)
        self._maintain_at = self._sweep_at = services.clock.monotonic()

    async def run_once(self) -> int:
        """Start due downloads within the limit; returns their number."""
        monotonic = self._services.clock.monotonic()
        if monotonic >= self._maintain_at:
            self._maintain_at = monotonic + MAINTENANCE_SECONDS
            await self._maintain(monotonic)
        begun = 0
        async with self._timer.leased(Lane.ARCHIVE, DOWNLOAD_LEASE, self._task_pool.free) as jobs:
            for job in jobs:
                name = f"archive {job.id}"
                if not self._task_pool.is_running(name):
                    self._task_pool.begin(name, self._save, job)
                    begun += 1
        return begun

    async def idle(self) -> None:
        if self._task_pool.free:
            await self._timer.wait(SAFETY_SECONDS)
        else:
            await self._task_pool.wait_any()

    async def stop(self) -> None:
        """Interrupted downloads start again with the next process."""
        await self._task_pool.drain(DOWNLOAD_DRAIN_SECONDS)

    # --- downloads ------------------------------------------------------------------------------

    async def _save(self, job: Job) -> None:
        """Take the next step of a job, under its lease."""
        try:
            with self.leases.kept(job.id):
                await self._step(job)
        except NotFound:
            return
        except asyncio.CancelledError:
            await self._store.jobs.release(self._services.holder, [job.id])
            raise

    async def _step(self, job: Job) -> None:
        """Attempt to download the next file of a job, whose files may have to be found first."""
        clock = self._services.clock
        if (index := next_file(job)) is None:
            await until_stored(clock, "the files of a result", partial(self._find_files, job))
            return
        outcome = await self._download(job, index)
        ended = DownloadEnded(index, job.archive[index].tries, outcome)
        await until_stored(clock, "a download", partial(self._observe, job, ended))
        self._count(job, index, outcome)

    async def _find_files(self, job: Job) -> None:
        await self._observe(job, ResultRead(await whole_result(self._store, job)))

    async def _observe(self, job: Job, observation: Observation) -> None:
        decide = deciding(observation, self._services.clock.now, self._services.rules)
        await self._store.jobs.advance(job.id, decide)

    async def _download(self, job: Job, index: int) -> FileStored | FileFailed:
        try:
            async with (
                asyncio.timeout(TOTAL_SECONDS),
                Download(self._downloader, job.archive[index].link) as file,
            ):
                key = key_of(job.user, job.id, index + 1, file.content_type)
                await self._archive.put(key, file.content_type, file.content())
                return FileStored(file.size, file.content_type, file.sha256, key)
        except DownloadFailed as failure:
            return failure.outcome
        except TimeoutError:
            return FileFailed("timeout")
        except ArchiveUnavailable as error:
            log.warning("the archive cannot be written to", job=job.id, reason=str(error))
            return FileFailed("archive_unavailable")

    def _count(self, job: Job, index: int, outcome: FileStored | FileFailed) -> None:
        metrics = self._services.metrics
        match outcome:
            case FileStored(size):
                metrics.archive_downloads.labels("stored").inc()
                metrics.archive_stored_bytes.inc(size)
            case FileFailed(error):
                metrics.archive_downloads.labels("failed").inc()
                log.warning("a download failed", job=job.id, file=index + 1, reason=error)

    # --- maintenance ----------------------------------------------------------------------------

    async def _maintain(self, monotonic: float) -> None:
        waiting, since = await self._store.archive.backlog()
        age = 0 if since is None else max(0, self._services.clock.now() - since)
        self._services.metrics.archive_backlog.set(waiting)
        self._services.metrics.archive_oldest_age_seconds.set(age / 1_000)
        try:
            if monotonic >= self._sweep_at:
                self._sweep_at = monotonic + ARCHIVE_SWEEP_SECONDS
                await self._sweep()
            await self._remove()
        except ArchiveUnavailable as error:
            log.warning("files cannot be removed from the archive", reason=str(error))

    async def _sweep(self) -> None:
        # If nobody else can be writing, every partial file is from a dead process.
        alone = self._store.exclusive and not self._task_pool.running
        left = await self._archive.sweep(0 if alone else 2 * TOTAL_SECONDS)
        if left:
            log.info("removed partial files", files=left)

    async def _remove(self) -> None:
        removals = await self._store.archive.removals(REMOVALS_AT_ONCE)
        if not removals:
            return
        folders = [folder_of(removal.user, removal.job_id) for removal in removals]
        await asyncio.gather(*map(self._archive.remove, folders))
        await self._store.archive.forget(removals)
        if len(removals) == REMOVALS_AT_ONCE:
            self._maintain_at = 0.0  # there may be more; downloads get a turn in between
