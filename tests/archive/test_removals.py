"""Retention removes the files of removed jobs, even if some files cannot be removed."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from receiver.archive.contract import ArchiveUnavailable, folder_of
from receiver.archive.folder import FolderArchive
from receiver.engine import archiver
from receiver.engine.archiver import Archiver
from store.records.archive import ArchivedFile, FileState
from store.records.jobs import Job
from store.records.times import Due, Lane
from tests.archive.test_download import downloader
from tests.engine.harness import CallRecorder, Harness
from tests.store.world import NOW, completed, quietly

STORED = ArchivedFile("https://cdn.example/1.mp4", FileState.STORED, bytes=1, key="ann/1/1.mp4")
REFUSED = ArchivedFile("http://10.0.0.1/1.mp4", next_try_at=NOW)


class Stubborn(FolderArchive):
    """An archive of which some folders cannot be removed."""

    stays: frozenset[str]

    async def remove(self, folder: str) -> None:
        if folder in self.stays:
            raise ArchiveUnavailable("Permission denied")
        await super().remove(folder)


class Hanging(FolderArchive):
    """Blocks one of its steps until `may_go_on` is set."""

    def __init__(self, root: Path, step: str) -> None:
        super().__init__(root)
        self.reached, self.may_go_on = asyncio.Event(), asyncio.Event()
        go_on = getattr(self, step)

        async def wait(*args: Any) -> Any:
            self.reached.set()
            await self.may_go_on.wait()
            return await go_on(*args)

        setattr(self, step, wait)


async def removed(harness: Harness, number: int) -> list[Job]:
    """Removed jobs whose files are left."""
    jobs = [await harness.world.create() for _ in range(number)]
    for job in jobs:
        await harness.world.advance(job, completed(), quietly(archive=(STORED,), due=None))
    assert (await harness.store.jobs.remove_finished(NOW + 1, 9)).jobs == number
    return jobs


def archiver_of(harness: Harness, archive: FolderArchive) -> Archiver:
    return Archiver(harness.services, harness.hub, archive, downloader())


async def maintain(harness: Harness, worker: Archiver) -> list[str]:
    """Run the removals; returns the jobs whose files are left."""
    harness.clock.advance(archiver.MAINTENANCE_SECONDS)
    await worker.run_once()
    await worker._upkeep.drain()
    return [each.job_id for each in await harness.store.archive.removals("", 9)]


@pytest.mark.parametrize("bad", [{0}, {0, 1, 2}, {1, 3}, {4}, set()])
async def test_files_that_cannot_be_removed_keep_no_others(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: set[int]
) -> None:
    monkeypatch.setattr(archiver, "REMOVALS_PER_BATCH", 2)
    jobs = await removed(harness, 5)
    archive = Stubborn(tmp_path / "kept")
    archive.stays = frozenset(folder_of(jobs[n].user, jobs[n].id) for n in bad)
    worker = archiver_of(harness, archive)

    left = [await maintain(harness, worker) for _ in range(3)][-1]
    assert left == [jobs[n].id for n in sorted(bad)]

    archive.stays = frozenset()
    assert [await maintain(harness, worker) for _ in range(3)][-1] == []


@pytest.mark.parametrize(("step", "begun"), [("remove", ["_download"]), ("sweep", [])])
async def test_while_the_archive_hangs_its_backlog_is_measured_and_downloads_begin(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, begun: list[str]
) -> None:
    """Downloads do not begin beside the first sweep, which could remove their partial files."""
    monkeypatch.setattr(archiver, "DOWNLOAD_DRAIN_SECONDS", 0.0)
    (gone,) = await removed(harness, 1)
    archive = Hanging(tmp_path / "kept", step)
    worker = archiver_of(harness, archive)
    downloads = CallRecorder(worker, "_download")
    await worker.run_once()
    await archive.reached.wait()

    pending = quietly(archive=(REFUSED,), due=Due(Lane.ARCHIVE, NOW))
    job = await harness.world.advance(await harness.world.create(), completed(), pending)
    harness.clock.advance(archiver.MAINTENANCE_SECONDS)
    assert await worker.run_once() == 1
    assert harness.services.metrics.archive_backlog._value.get() == 1
    await harness.find(job)
    assert downloads.take() == begun
    assert worker._upkeep.free == 0

    await worker.stop()
    assert [each.job_id for each in await harness.store.archive.removals("", 9)] == [gone.id]
    archive.may_go_on.set()
    assert await maintain(harness, archiver_of(harness, archive)) == []
