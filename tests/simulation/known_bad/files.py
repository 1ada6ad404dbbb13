"""Variants whose archive keeps half a file, a wrong one, or one for too long."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Any
from unittest.mock import patch

from receiver.archive import folder
from receiver.archive.contract import folder_of
from receiver.archive.download import Download
from receiver.archive.folder import FolderArchive
from receiver.engine.downloads import ArchiveUpkeep
from receiver.engine.supervisor import BATCH
from store.files import fsync
from tests.simulation.known_bad import file_plans
from tests.simulation.known_bad.variant import Patch, instead_of, variant
from tests.simulation.loop import running_loop

WHOLE = "stored means whole"
NOTHING_LEFT = "retention leaves nothing"


@variant(WHOLE, first=1)
def folders_not_synced() -> Patch:
    """A file is synced, and its name is not."""
    return patch.object(folder, "fsync", lambda _: None)


@variant("a file that has its name is whole", plan=file_plans.power_cut_while_it_stores)
@instead_of(folder, "_finish")
def renamed_before_sync(_: Any, file: IO[bytes], target: Path) -> None:
    """A file gets its final name before it is synced."""
    file.flush()
    folder._make(target.parent)
    Path(file.name).replace(target)
    fsync(target.parent)
    os.fsync(file.fileno())


@variant(WHOLE, first=1)
@instead_of(FolderArchive, "put")
async def stored_before_the_file(
    put: Any, self: FolderArchive, key: str, content_type: str, content: AsyncIterator[bytes]
) -> None:
    """A file is called stored once all of it has arrived, while it is still being written."""
    pieces = [piece async for piece in content]

    async def again() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    _ = running_loop().create_task(put(self, key, content_type, again()))


@variant(WHOLE, first=1)
def whole_not_checked() -> Patch:
    """What arrived is kept as the file, even if the host's digest differs."""
    return patch.object(Download, "_check_whole", lambda _: None)


@variant(NOTHING_LEFT, plan=file_plans.killed_while_it_stores)
def partial_files_left() -> Patch:
    """Partial files of a dead process are never removed."""
    return patch.object(FolderArchive, "_sweep", lambda *_: 0)


@variant(NOTHING_LEFT, plan=file_plans.killed_at_retention)
@instead_of(ArchiveUpkeep, "_remove")
async def files_forgotten_first(_: Any, self: ArchiveUpkeep) -> None:
    """Retention forgets which files to remove before it removes them."""
    removals = await self._store.archive.removals("", BATCH)
    if removals:
        await self._store.archive.forget(removals)
    for removal in removals:
        await self._archive.remove(folder_of(removal.user, removal.job_id))


@variant(NOTHING_LEFT, plan=file_plans.power_cut_at_retention, first=4)
@instead_of(folder, "_remove")
def removal_not_synced(_: Any, removed: Path) -> None:
    """Retention removes files, and forgets them before their removal is durable."""
    shutil.rmtree(removed, ignore_errors=True)
