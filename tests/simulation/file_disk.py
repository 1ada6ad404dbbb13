"""A folder on a disk that may lose, in a power cut, whatever was not synced.

The archive's own code works on a real folder. Its calls of `fsync` tell what is durable: the bytes
of a file, the entries of a directory. A power cut leaves at least that; the rest stays or goes by
chance. A process that is killed loses nothing: the operating system still has the data.
"""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from receiver.archive.folder import PARTIAL
from tests.simulation.disk import pause
from tests.simulation.process import Killed

if TYPE_CHECKING:
    from tests.simulation.world import World

Tree = Mapping[str, "Tree | bytes"]
"""A directory's content: by name, the bytes of a file or another directory."""


class FileDisk:
    """The disk of one world's archive."""

    def __init__(self, world: "World", volume: Path) -> None:
        """`volume` becomes an empty directory that is itself durable."""
        self._world = world
        self._random = world.file_random
        self.volume = volume
        self.root = volume / "kept"
        """Created by the first write."""
        self.crash: Callable[[], None] = lambda: None
        """Kills a process, or cuts the power of the whole machine."""
        self.at_sync: int | None = None
        """The number of syncs before it calls `crash`; None: never."""
        self._content: dict[int, bytes] = {}
        """The durable bytes of files, by inode."""
        self._entries: dict[int, dict[str, int]] = {}
        """The durable entries of directories, by inode: names and their inodes."""
        self._dated: dict[int, int] = {}
        """The times of partial files in nanoseconds, by inode."""
        volume.mkdir()

    # --- what the service calls -------------------------------------------------------------------

    def fsync(self, descriptor: int) -> None:
        """Replaces `os.fsync`. Raises `OSError`, `Killed`."""
        if self.at_sync is not None:
            self.at_sync -= 1
            if self.at_sync < 0:
                self.at_sync = None
                self.crash()
                raise Killed
        if self._world.disk.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "the archive")
        self._keep(Path(f"/proc/self/fd/{descriptor}"))

    def pause(self) -> float:
        """How long a hop to a thread that works on the disk takes, in seconds."""
        return pause(self._random)

    def date_files(self) -> None:
        """Set the times of partial files that were just written to the simulated time."""
        partial = self.root / PARTIAL
        for file in os.scandir(partial) if partial.is_dir() else ():
            if file.stat().st_mtime_ns != self._dated.get(file.inode()):
                moment = self._dated[file.inode()] = int(self._world.clock.seconds * 1e9)
                os.utime(file.path, ns=(moment, moment))

    # --- what the oracle asks ---------------------------------------------------------------------

    def durable(self, key: str) -> bytes | None:
        """The bytes of a file that survive any power cut; None if the file may be lost."""
        inode = self.volume.stat().st_ino
        for name in (self.root.name, *key.split("/")):
            found = self._entries.get(inode, {}).get(name)
            if found is None:
                return None
            inode = found
        return self._content.get(inode)

    def files(self) -> dict[str, bytes]:
        """All files under their final names, as they are now."""
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in sorted(self.root.glob("*/*/*"))
        }

    # --- the power --------------------------------------------------------------------------------

    def power_cut(self) -> None:
        """Lose all or part of what was not synced. Every process has to die at the same time."""
        left = self._left_of(self.volume.stat().st_ino, self.volume)
        for path in self.volume.iterdir():
            shutil.rmtree(path)
        self._entries.clear()
        self._content.clear()
        self._dated.clear()
        self._restore(self.volume, left)

    def _left_of(self, inode: int, path: Path) -> Tree:
        """What is left of a directory. `path` is where it is now; it does not exist if the
        directory is gone."""
        now = {each.name: each for each in os.scandir(path)} if path.is_dir() else {}
        durable = self._entries.get(inode, {})
        left: dict[str, Tree | bytes] = {}
        for name in sorted({*now, *durable}):
            present = now[name].inode() if name in now else None
            # All names of partial files stay: the archive promises nothing about them.
            kept = present if path.name == PARTIAL else self._either(durable.get(name), present)
            if kept is None:
                continue
            here = path / name if kept == present else path / PARTIAL / name
            if kept in self._entries or here.is_dir():
                left[name] = self._left_of(kept, here)
            else:
                left[name] = self._content_left(kept, here)
        return left

    def _either(self, durable: int | None, present: int | None) -> int | None:
        return durable if durable == present or self._random.random() < 0.5 else present

    def _content_left(self, inode: int, path: Path) -> bytes:
        if inode in self._content or not path.is_file():
            return self._content.get(inode, b"")
        content = path.read_bytes()
        return content if path.parent.name == PARTIAL else content[: len(content) // 2]

    def _restore(self, folder: Path, tree: Tree) -> None:
        for name, content in tree.items():
            if isinstance(content, bytes):
                (folder / name).write_bytes(content)
                self._keep(folder / name)
            else:
                (folder / name).mkdir()
                self._restore(folder / name, content)
        self._keep(folder)

    def _keep(self, path: Path) -> None:
        """Make the present state of a file or a directory durable."""
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            entries = list(os.scandir(path))
            self._entries[found.st_ino] = {each.name: each.inode() for each in entries}
            for each in entries:
                if each.is_dir():  # without a sync of its own it is durable too, but empty
                    self._entries.setdefault(each.inode(), {})
        else:
            self._content[found.st_ino] = path.read_bytes()
