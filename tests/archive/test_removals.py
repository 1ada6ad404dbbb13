"""Retention removes the files of removed jobs, even if some files cannot be removed."""

import asyncio
from pathlib import Path

import pytest

from receiver.archive.contract import ArchiveUnavailable, folder_of
from receiver.archive.folder import FolderArchive
from receiver.engine import downloads
from receiver.engine.downloads import ArchiveUpkeep
from store.records.archive import ArchivedFile, FileState
from tests.engine.harness import Harness
from tests.store.world import completed, quietly

STORED = ArchivedFile("https://cdn.example/1.mp4", FileState.STORED, bytes=1, key="ann/1/1.mp4")


class Stubborn(FolderArchive):
    """An archive of which some folders cannot be removed."""

    stays: frozenset[str]

    async def remove(self, folder: str) -> None:
        if folder in self.stays:
            raise ArchiveUnavailable("Permission denied")
        await super().remove(folder)


@pytest.mark.parametrize("bad", [{0}, {0, 1, 2}, {1, 3}, {4}, set()])
async def test_files_that_cannot_be_removed_keep_no_others(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: set[int]
) -> None:
    monkeypatch.setattr(downloads, "BATCH", 2)
    jobs = [await harness.world.create() for _ in range(5)]
    for job in jobs:
        await harness.world.advance(job, completed(), quietly(archive=(STORED,), due=None))
    assert await harness.world.remove_finished() == 5
    archive = Stubborn(tmp_path / "kept")
    worker = ArchiveUpkeep(harness.services, archive, asyncio.Event())

    for staying in (sorted(bad), []):
        archive.stays = frozenset(folder_of(jobs[n].user, jobs[n].id) for n in staying)
        for _ in range(3):
            while await worker.run_once():
                pass
        left = await harness.store.archive.removals("", 9)
        assert [removal.job_id for removal in left] == [jobs[n].id for n in staying]
