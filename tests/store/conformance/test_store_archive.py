"""`Archive`: files of results, which wait, are stored, and are removed with their jobs."""

from store.archive import Removal
from store.records.archive import ArchivedFile
from store.records.jobs import Job
from store.records.times import Due, Lane
from tests.store.world import NOW, SECOND, World, completed, lease_due, quietly

FILE = ArchivedFile("https://cdn.example/1.mp4", next_try_at=NOW)


async def archived(world: World, at: int = NOW) -> Job:
    """A job that ended at this time, with a pending file."""
    waiting = quietly(archive=(FILE,), due=Due(Lane.ARCHIVE, at))
    return await world.advance(await world.create(), completed(at), waiting)


async def lease(world: World) -> list[Job]:
    return await lease_due(world.store, Lane.ARCHIVE, NOW, NOW + 10 * SECOND, "me", 9)


async def test_the_backlog_is_a_number_and_a_time(world: World) -> None:
    assert await world.store.archive.backlog() == (0, None)
    for at in (NOW + 2, NOW + 1):
        await archived(world, at)
    assert await world.store.archive.backlog() == (2, NOW + 1)


async def test_a_removed_jobs_files_are_listed_until_they_are_gone(world: World) -> None:
    job = await archived(world)
    await world.advance(await world.create(), completed())
    assert await lease(world) == [job]

    assert await world.remove_finished() == 1, "except the one whose file is being downloaded"
    await world.advance(job, quietly(due=None))
    assert await world.remove_finished() == 1
    gone = Removal(job.id, job.user)
    assert await world.store.archive.removals("", 9) == [gone]
    assert await world.store.archive.removals("", 0) == []
    assert await world.store.archive.removals(job.id, 9) == []
    await world.store.archive.forget([gone])
    assert await world.store.archive.removals("", 9) == []


async def test_a_file_that_nobody_downloads_does_not_keep_its_job(world: World) -> None:
    """The job is removed if there is no archive, or if the file's downloader died long ago."""
    await archived(world)
    (died,) = await lease(world)
    await archived(world)
    long_after = NOW + 10 * SECOND

    assert await world.remove_finished() == 1
    assert await world.store.jobs.find(died.id) == died
    assert await world.remove_finished(long_after) == 1
