"""The leases of downloads: they last as long as the download, and end soon after its process has
died."""

import asyncio

from receiver.workers.download_leases import DOWNLOAD_LEASE, RENEWAL_SECONDS, DownloadLeases
from store.records.jobs import Job
from store.records.times import Due, Lane
from tests.store.world import NOW
from tests.workers.harness import Harness


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
