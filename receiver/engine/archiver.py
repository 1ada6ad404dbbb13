"""Downloads result files, and removes the files of removed jobs."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import structlog

from receiver.archive.contract import Archive, ArchiveUnavailable, folder_of, key_of
from receiver.archive.download import Download, Downloader, DownloadFailed
from receiver.domain.archive import next_file
from receiver.domain.lifecycle import decider
from receiver.domain.observations import (
    DownloadEnded,
    FileFailed,
    FileStored,
    Observation,
    ResultRead,
)
from receiver.engine.context import ServiceContext
from receiver.engine.download_leases import DownloadLeases
from receiver.engine.whole_result import whole_result
from receiver.engine.worker import (
    LOOK_AGAIN,
    MAX_IDLE_SECONDS,
    DueTimer,
    TaskPool,
    until_stored,
)
from receiver.streams.hub import Hub
from store.backlogs import Backlog
from store.errors import NotFound
from store.records.jobs import Job
from store.records.times import Lane, Millis

DOWNLOADS_AT_ONCE = 4
"""One per job; of these, each user has at most half."""
TOTAL_SECONDS = 1800.0
"""Maximum duration of an attempt, until the file is durable."""
MAINTENANCE_SECONDS = 30.0
ARCHIVE_SWEEP_SECONDS = 3600.0
DOWNLOAD_DRAIN_SECONDS = 1.0
REMOVALS_PER_BATCH = 64
REMOVAL_PAUSE_SECONDS = 1.0

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
    ) -> None:
        self.leases = DownloadLeases(services)
        """To be run as a worker of its own: this one can wait up to `MAINTENANCE_SECONDS` for a
        free slot, and leases must be renewed more often."""
        self._services = services
        self._store = services.store
        self._archive = archive
        self._downloader = downloader
        self._timer = DueTimer(services, hub, Lane.ARCHIVE)
        self._task_pool = TaskPool(DOWNLOADS_AT_ONCE)
        self._upkeep = TaskPool(1)
        self._running: Counter[int] = Counter()
        """By user: their downloads under way."""
        # A slow host can keep a slot for half an hour, so one user gets at most half of them,
        # even while nobody else waits.
        self._max_per_user = DOWNLOADS_AT_ONCE // 2
        self._maintain_at = self._sweep_at = services.clock.monotonic()
        self._swept = asyncio.Event()
        """Set when the first sweep has ended, even if it failed; no download starts before that."""
        self._removed_to = ""
        """The last job of the previous batch of removals; empty if the next batch is the first."""

    async def run_once(self) -> int:
        """Start due downloads within the limit; returns their number."""
        monotonic = self._services.clock.monotonic()
        if monotonic >= self._maintain_at:
            self._maintain_at = monotonic + MAINTENANCE_SECONDS
            # A separate task, because it blocks while a network mount hangs.
            if self._upkeep.free:
                self._upkeep.begin("the archive's upkeep", self._tidy, monotonic)
            await self._measure()
        if not (self._task_pool.free and self._timer.is_due(Lane.ARCHIVE)):
            return 0
        with self._timer.one_pass(Lane.ARCHIVE):
            return await self._pass(self._services.clock.now())

    async def idle(self) -> None:
        if self._task_pool.free:
            await self._timer.wait(MAX_IDLE_SECONDS)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._maintain_at - self._services.clock.monotonic()):
                await self._task_pool.wait_any()

    async def stop(self) -> None:
        """Cancel what does not end soon: the next process starts it again."""
        pools = self._task_pool, self._upkeep
        await asyncio.gather(*(pool.drain(DOWNLOAD_DRAIN_SECONDS) for pool in pools))

    # --- fair scheduling ------------------------------------------------------------------------

    async def _pass(self, now: Millis) -> int:
        """Start at most one download for each user, while slots are free; returns their number."""
        backlogs, lane = self._store.backlogs, Lane.ARCHIVE
        due = await backlogs.due(lane, now)
        self._timer.schedule_pass(lane, due.next_at)
        turns = dict.fromkeys(self._turns(due.backlogs), 1)
        if not turns:
            return 0
        jobs = await backlogs.lease(lane, turns, now, self.leases.new())
        begun = sum([self._begin(job) for job in jobs])
        # The same users may have more. If none could be leased, another process was faster, or the
        # clock was set back, and a lease that had seemed to be over has not ended yet.
        self._timer.schedule_pass(lane, 0 if begun else now + LOOK_AGAIN)
        return begun

    def _turns(self, due: Sequence[Backlog]) -> Sequence[Backlog]:
        """The backlogs to serve now, one per user; the user with the fewest downloads is first."""
        chosen: dict[int, Backlog] = {}
        for backlog in sorted(due, key=lambda each: self._running[each.user_id]):
            if self._running[backlog.user_id] < self._max_per_user:
                chosen.setdefault(backlog.user_id, backlog)
        return [*chosen.values()][: self._task_pool.free]

    def _begin(self, job: Job) -> bool:
        name = f"archive {job.id}"
        if self._task_pool.is_running(name):
            return False
        self._running[job.user_id] += 1
        self._task_pool.begin(name, self._save, job)
        return True

    def _ended(self, job: Job) -> None:
        self._running[job.user_id] -= 1
        self._running += Counter()  # drops zero counts
        self._timer.schedule_pass(Lane.ARCHIVE, 0)  # its user's next download may start

    # --- downloads ------------------------------------------------------------------------------

    async def _save(self, job: Job) -> None:
        """Take the next step of a job, under its lease."""
        try:
            with self.leases.kept(job.id):
                await self._step(job)
        except NotFound:
            # The job was removed meanwhile, perhaps its files too: remove what was stored since.
            await self._archive.remove(folder_of(job.user, job.id))
        except asyncio.CancelledError:
            await self._store.jobs.release(self._services.holder, [job.id])
            raise
        finally:
            self._ended(job)

    async def _step(self, job: Job) -> None:
        """Try to download the next file of a job, or find its files if they are not known yet."""
        clock = self._services.clock
        if (index := next_file(job)) is None:
            await until_stored(clock, "the files of a result", partial(self._find_files, job))
            return
        await self._swept.wait()
        outcome = await self._download(job, index)
        ended = DownloadEnded(index, job.archive[index].tries, outcome)
        await until_stored(clock, "a download", partial(self._observe, job, ended))
        self._count(job, index, outcome)

    async def _find_files(self, job: Job) -> None:
        await self._observe(job, ResultRead(await whole_result(self._store, job)))

    async def _observe(self, job: Job, observation: Observation) -> None:
        decide = decider(observation, self._services.clock.now, self._services.rules)
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
        except Exception as error:
            # Probably a bug. Without an outcome there would be no backoff, and no last attempt.
            log.error("a file could not be archived", job=job.id, exc_info=error)
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

    async def _measure(self) -> None:
        waiting, since = await self._store.archive.backlog()
        age = 0 if since is None else max(0, self._services.clock.now() - since)
        self._services.metrics.archive_backlog.set(waiting)
        self._services.metrics.archive_oldest_age_seconds.set(age / 1_000)

    async def _tidy(self, monotonic: float) -> None:
        try:
            if monotonic >= self._sweep_at:
                self._sweep_at = monotonic + ARCHIVE_SWEEP_SECONDS
                await self._sweep()
            while await self._remove():
                # Syncing the deletions slows down a database on the same disk.
                await self._services.clock.sleep(REMOVAL_PAUSE_SECONDS)
        except ArchiveUnavailable as error:
            log.warning("files cannot be removed from the archive", reason=str(error))

    async def _sweep(self) -> None:
        # Before the first download, every partial file was left by a dead process.
        alone = self._store.exclusive and not self._swept.is_set()
        try:
            left = await self._archive.sweep(0 if alone else 2 * TOTAL_SECONDS)
        finally:
            self._swept.set()
        if left:
            log.info("removed partial files", files=left)

    async def _remove(self) -> bool:
        """Delete the files of one batch of removed jobs; returns whether to continue at once: there
        may be more, and some of these could be deleted."""
        removals = await self._store.archive.removals(self._removed_to, REMOVALS_PER_BATCH)
        # What cannot be removed is tried again after all others.
        self._removed_to = removals[-1].job_id if len(removals) == REMOVALS_PER_BATCH else ""
        folders = [folder_of(removal.user, removal.job_id) for removal in removals]
        failures = await asyncio.gather(*map(self._archive.remove, folders), return_exceptions=True)
        gone = []
        for removal, folder, failure in zip(removals, folders, failures, strict=True):
            if failure is None:
                gone.append(removal)
            else:
                log.warning("files cannot be removed", folder=folder, reason=str(failure))
        if gone:
            await self._store.archive.forget(gone)
        return bool(gone and self._removed_to)
