"""An archive in a local folder. Files are written aside, synced, and named when complete."""

import asyncio
import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, TypeVar, TypeVarTuple

from receiver.archive.contract import ArchiveUnavailable, Kept
from store.files import fsync

PARTIAL = ".partial"
"""The folder of partial files. User names never begin with a dot."""
SYNC_BYTES = 32 * 1024 * 1024
"""A file is synced each time it has grown by this many bytes: one large sync at its end would delay
the syncs of a database on the same disk."""
NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP)
"""What file systems without hard links answer."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class FolderArchive:
    """`receiver.archive.contract.Archive`. All its disk access runs in its own threads, so that a
    hanging network mount blocks no others. (The files that `find` returns are read elsewhere.)"""

    def __init__(self, root: Path) -> None:
        """`root` is created by the first write or sweep."""
        self._root = root
        self._partial = root / PARTIAL
        self._threads = ThreadPoolExecutor(thread_name_prefix="archive")

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)

    async def put(self, key: str, content_type: str, content: AsyncIterator[bytes]) -> Kept | None:
        closing = ExitStack()
        try:
            file = await self._in_thread(self._create, closing)
            unsynced = 0
            async for piece in content:
                await self._in_thread(file.write, piece)
                unsynced += len(piece)
                if unsynced >= SYNC_BYTES:
                    await self._in_thread(os.fsync, file.fileno())
                    unsynced = 0
            return await self._in_thread(_finish, file, self._root / key)
        finally:
            await self._in_thread(closing.close)

    async def find(self, key: str, size: int) -> Path:
        return await self._run(_check, self._root / key, size)

    async def remove(self, folder: str) -> None:
        # If `.partial` is missing, the archive is probably not mounted, and its files only seem to
        # be gone.
        await self._in_thread(self._partial.stat)
        await self._in_thread(_remove, self._root / folder)

    async def sweep(self, seconds: float) -> int:
        return await self._in_thread(self._sweep, time.time() - seconds)

    async def _in_thread(self, work: Callable[[*Ts], T], *args: *Ts) -> T:
        """Run `work` in a thread. If the caller is cancelled, wait for the thread first, so that
        two steps never overlap."""
        task = asyncio.ensure_future(self._run(work, *args))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            raise

    async def _run(self, work: Callable[[*Ts], T], *args: *Ts) -> T:
        """Run `work` in a thread. A cancelled caller does not wait for it, which suits reads."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        except OSError as error:
            raise ArchiveUnavailable(str(error)) from error

    # --- in a thread ----------------------------------------------------------------------------

    def _create(self, closing: ExitStack) -> IO[bytes]:
        """A partial file, which `closing` closes and removes if it still exists then."""
        self._partial.mkdir(parents=True, exist_ok=True)
        file = tempfile.NamedTemporaryFile(dir=self._partial, delete=False)  # noqa: SIM115 - see above
        closing.callback(Path(file.name).unlink, missing_ok=True)
        closing.enter_context(suppress(OSError))  # closing fails too if the disk is full
        return closing.enter_context(file)

    def _sweep(self, written_before: float) -> int:
        removed = 0
        self._partial.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            for file in self._partial.iterdir():
                if file.stat().st_mtime < written_before:
                    file.unlink(missing_ok=True)
                    removed += 1
        return removed


def _finish(file: IO[bytes], target: Path) -> Kept | None:
    """Give a partial file its final name, which is durable when this returns. Returns the file that
    has this name already, if there is one."""
    file.flush()
    os.fsync(file.fileno())
    _make(target.parent)
    is_new = _link(Path(file.name), target)
    fsync(target.parent)
    return None if is_new else _kept(target)


def _link(file: Path, target: Path) -> bool:
    """Give a file a second name, unless that is taken; a rename would replace what has it."""
    try:
        os.link(file, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        file.replace(target)
    return True


def _kept(path: Path) -> Kept:
    with path.open("rb") as file:
        return Kept(
            os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()
        )


def _check(path: Path, size: int) -> Path:
    """The path, if the file can be opened and has this size."""
    with path.open("rb") as file:
        found = os.fstat(file.fileno()).st_size
    if found != size:
        raise ArchiveUnavailable(f"{path} has {found:,} of {size:,} bytes")
    return path


def _make(folder: Path) -> None:
    """Create a folder durably. The folders above it are synced before it is created, so if it
    exists, only its own entry may still be unsynced."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
    with suppress(PermissionError):  # a folder above the archive may be the operator's
        fsync(folder.parent)


def _remove(folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
    with suppress(FileNotFoundError):
        fsync(folder.parent)
    with suppress(OSError):  # not empty: the user has other jobs
        folder.parent.rmdir()
