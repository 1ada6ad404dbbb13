"""Retention removes the files of removed jobs, beside some that cannot be removed."""

from pathlib import Path

import pytest

from receiver.archive.contract import ArchiveUnavailable, folder_of
from receiver.archive.folder import FolderArchive
from receiver.workers import archiver
from receiver.workers.archiver import Archiver
from store.records.archive import ArchivedFile, FileState
from tests.archive.test_download import downloader
from tests.store.world import NOW, completed, quietly
from tests.workers.harness import Harness

STORED = ArchivedFile("https://cdn.example/1.mp4", FileState.STORED, bytes=1, key="ann/1/1.mp4")


class Stubborn(FolderArchive):
    """Some folders cannot be removed."""

    stays: frozenset[str]

    async def remove(self, folder: str) -> None:
        if folder in self.stays:
            raise ArchiveUnavailable("Permission denied")
        await super().remove(folder)


@pytest.mark.parametrize("bad", [{0}, {0, 1, 2}, {1, 3}, {4}, set()])
async def test_files_that_cannot_be_removed_keep_no_others(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: set[int]
) -> None:
    monkeypatch.setattr(archiver, "REMOVALS_AT_ONCE", 2)
    stored = quietly(archive=(STORED,), due=None)
    jobs = [await harness.world.create() for _ in range(5)]
    for job in jobs:
        await harness.world.advance(job, completed(), stored)
    assert (await harness.store.jobs.remove_finished(NOW + 1, 9)).jobs == 5
    archive = Stubborn(tmp_path / "kept")
    archive.stays = frozenset(folder_of(jobs[n].user, jobs[n].id) for n in bad)
    worker = Archiver(harness.services, harness.hub, archive, downloader(), 2)

    for _ in range(3):
        harness.clock.advance(archiver.MAINTENANCE_SECONDS)
        await worker.run_once()
    left = await harness.store.archive.removals("", 9)
    assert [each.job_id for each in left] == [jobs[n].id for n in sorted(bad)]

    archive.stays = frozenset()
    for _ in range(3):
        harness.clock.advance(archiver.MAINTENANCE_SECONDS)
        await worker.run_once()
    assert await harness.store.archive.removals("", 9) == []
