"""The leases of downloads: they last as long as the download, and end soon after its process has
died."""

import asyncio
from pathlib import Path

from receiver.archive.folder import FolderArchive
from receiver.engine.download_leases import DOWNLOAD_LEASE, RENEWAL_SECONDS, DownloadLeases
from store.records.jobs import Job
from store.records.times import Due, Lane
from store.repository import MAX_CLOCK_SKEW
from tests.archive.test_removals import REFUSED, archiver_of
from tests.engine.harness import LEASE, Harness
from tests.store.world import NOW, completed, quietly


async def test_the_lease_of_a_running_download_is_renewed_and_its_loss_ends_the_download(
    harness: Harness,
) -> None:
    leases = DownloadLeases(harness.services)
    job = await harness.world.create(due=Due(Lane.ARCHIVE, NOW))
    assert await harness.lease("me", Lane.ARCHIVE) == [job.id]

    async def download(job: Job) -> None:
        with leases.kept(job.id):
            await asyncio.Event().wait()

    running = asyncio.create_task(download(job))
    for _ in range(10):
        await leases.idle()
        await leases.run_once()
        assert await harness.lease("another", Lane.ARCHIVE) == []
    assert harness.clock.now() - NOW == 10 * RENEWAL_SECONDS * 1_000

    harness.clock.advance(DOWNLOAD_LEASE / 1_000)  # as if the process had been suspended
    assert await harness.lease("another", Lane.ARCHIVE) == [job.id]
    await leases.run_once()
    await asyncio.wait({running})
    assert running.cancelled()
    await leases.run_once()
    assert await harness.lease("me", Lane.ARCHIVE) == [], "what is not running is not renewed"


async def test_the_lease_of_a_dead_process_ends_also_after_the_clock_was_set_back(
    harness: Harness, tmp_path: Path
) -> None:
    """For a minute it seems to have ended, because it ends so late, and cannot be taken yet."""
    worker = archiver_of(harness, FolderArchive(tmp_path / "kept"))
    pending = quietly(archive=(REFUSED,), due=Due(Lane.ARCHIVE, NOW))
    job = await harness.world.advance(await harness.world.create(), completed(), pending)
    assert await harness.lease("a dead process", Lane.ARCHIVE) == [job.id]
    harness.clock.wall_start -= MAX_CLOCK_SKEW - LEASE // 2

    assert await worker.run_once() == 0
    harness.clock.advance((MAX_CLOCK_SKEW + LEASE) / 1_000)
    assert await worker.run_once() == 1
    await worker.stop()
