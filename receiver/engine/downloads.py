"""Downloads result files to the archive, and removes the files of removed jobs."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import structlog

from receiver.archive.contract import Archive, ArchiveUnavailable, Kept, folder_of, key_of
from receiver.archive.download import Download, Downloader, DownloadFailed
from receiver.domain.archive import next_file
from receiver.domain.observations import (
    DownloadEnded,
    FileFailed,
    FileStored,
    TimeoutReached,
)
from receiver.engine.context import ServiceContext
from receiver.engine.gate import Gate, Keys, Limit
from receiver.engine.lanes import LEASE_SLACK, Handler, LaneTimer, retry_until_stored
from receiver.engine.observe_job import observe_leased
from receiver.engine.supervisor import BATCH, UPKEEP_SECONDS, Worker
from receiver.streams.hub import Hub
from store.errors import NotFound
from store.lanes import Candidate
from store.records.jobs import Job
from store.records.times import Lane, Lease, Millis

DOWNLOADS_AT_ONCE: Final = 4
LIMITS: Final = {"job": Limit(at_once=1), "user": Limit(at_once=2)}
"""A slow host can keep a slot for half an hour, so one user gets at most half of them."""
TOTAL_SECONDS: Final = 1800.0
"""Maximum duration of an attempt, until the file is durable."""
DOWNLOAD_LEASE: Final[Millis] = round(TOTAL_SECONDS * 1_000) + LEASE_SLACK
ANSWER_PAUSE: Final[Millis] = 1_000
"""How long a download waits while another one waits for its host to answer."""
ARCHIVE_SWEEP_SECONDS: Final = 3600.0
REMOVAL_PAUSE_SECONDS: Final = 1.0

log = structlog.get_logger()


class Downloads(Handler[Job]):
    """The lane of result files behind ARCHIVE_URL; each work is one file of a job."""

    name = "downloads"
    drain_seconds = 1.0

    def __init__(
        self, services: ServiceContext, hub: Hub, archive: Archive, downloader: Downloader
    ) -> None:
        self._timer = LaneTimer(services.clock, hub, Lane.ARCHIVE)
        super().__init__(DOWNLOADS_AT_ONCE, [self._timer])
        self._services = services
        self._gate = Gate(services.clock, LIMITS)
        self._archive = archive
        self._downloader = downloader
        self._asking: dict[str, str] = {}
        """By host that has not answered yet: the job whose download waits for it."""
        self.swept = asyncio.Event()
        """Set when the first sweep has ended; no download starts before that."""

    async def take(self, free: int, running: Mapping[str, Job]) -> Sequence[Job]:
        due = self._services.store.due
        lease = Lease(self._services.holder, self._services.clock.now() + DOWNLOAD_LEASE)
        choose = partial(self._gate.view(map(_keys, running.values())).choose, _keys)
        return (await self._timer.look(lambda look: due.lease(look, lease), free, choose)).taken

    async def handle(self, work: Job) -> None:
        try:
            await self._step(work)
        except NotFound:
            # The job was removed meanwhile, perhaps its files too: remove what was stored since.
            await self._archive.remove(folder_of(work.user, work.id))

    async def release(self, works: Sequence[Job]) -> None:
        await self._services.store.due.release(self._services.holder, works)

    async def _step(self, job: Job) -> None:
        """Try to download the next file of a job."""
        clock = self._services.clock
        if (index := next_file(job)) is None:  # 1.0.0 has not looked for its files
            await observe_leased(self._services, job, TimeoutReached())
            return
        await self.swept.wait()
        host = urlsplit(job.archive[index].link).netloc
        if host in self._asking:
            # A silent host must not take several slots.
            at = clock.now() + ANSWER_PAUSE
            await self._services.store.due.postpone(self._services.holder, job, at)
            return
        outcome = await self._download(job, index, host)
        ended = DownloadEnded(index, job.archive[index].tries, outcome)
        await retry_until_stored(
            clock, "a download", partial(observe_leased, self._services, job, ended)
        )
        self._count(job, index, outcome)

    async def _download(self, job: Job, index: int, host: str) -> FileStored | FileFailed:
        most = self._downloader.users_bytes
        if most is not None and await self._services.store.archive.bytes_of(job.user_id) >= most:
            return FileFailed("user_limit: the user's files take ARCHIVE_USER_BYTES", final=True)
        try:
            self._asking[host] = job.id
            async with (
                asyncio.timeout(TOTAL_SECONDS),
                Download(self._downloader, job.archive[index].link) as file,
            ):
                del self._asking[host]
                key = key_of(job.user, job.id, index + 1, file.content_type)
                kept = await self._archive.put(key, file.content_type, file.content())
                kept = kept or Kept(file.size, file.sha256)
                return FileStored(kept.size, file.content_type, kept.sha256, key)
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
        finally:
            if self._asking.get(host) == job.id:
                del self._asking[host]

    def _count(self, job: Job, index: int, outcome: FileStored | FileFailed) -> None:
        metrics = self._services.metrics
        match outcome:
            case FileStored(size):
                metrics.archive_downloads.labels("stored").inc()
                metrics.archive_stored_bytes.inc(size)
            case FileFailed(error):
                metrics.archive_downloads.labels("failed").inc()
                log.warning("a download failed", job=job.id, file=index + 1, reason=error)


def _keys(each: Job | Candidate) -> Keys:
    return ("job", each.id), ("user", each.user_id)


class ArchiveUpkeep(Worker):
    """Removes partial files of dead processes, and the files of removed jobs."""

    name = "archive upkeep"

    def __init__(self, services: ServiceContext, archive: Archive, swept: asyncio.Event) -> None:
        """`swept` is set when the first sweep has ended, even if it failed."""
        self._services = services
        self._store = services.store
        self._archive = archive
        self._swept = swept
        self._sweep_at = services.clock.monotonic()
        self._removed_to = ""
        """The last job of the previous batch of removals; empty if the next batch is the first."""

    async def run_once(self) -> int:
        """Sweep if it is time, and remove the files of one batch of jobs; returns 1 if more may
        follow at once."""
        await self._measure()
        try:
            if (monotonic := self._services.clock.monotonic()) >= self._sweep_at:
                self._sweep_at = monotonic + ARCHIVE_SWEEP_SECONDS
                await self._sweep()
            if await self._remove():
                # Syncing the deletions slows down a database on the same disk.
                await self._services.clock.sleep(REMOVAL_PAUSE_SECONDS)
                return 1
        except ArchiveUnavailable as error:
            log.warning("files cannot be removed from the archive", reason=str(error))
        return 0

    async def idle(self) -> None:
        await self._services.clock.sleep(UPKEEP_SECONDS)

    async def _measure(self) -> None:
        waiting, since = await self._store.archive.backlog()
        age = 0 if since is None else max(0, self._services.clock.now() - since)
        self._services.metrics.archive_backlog.set(waiting)
        self._services.metrics.archive_oldest_age_seconds.set(age / 1_000)

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
        """Delete the files of one batch of removed jobs; returns whether there may be more, and
        some of these could be deleted."""
        removals = await self._store.archive.removals(self._removed_to, BATCH)
        # What cannot be removed is tried again after all others.
        self._removed_to = removals[-1].job_id if len(removals) == BATCH else ""
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
