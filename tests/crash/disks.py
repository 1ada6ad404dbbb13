"""Small disks that a test can fill, if this machine allows mounting one."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(at: Path, size: str, *, read_only: bool = False) -> Iterator[Path]:
    """Mount a file system in memory, of `size` as mount(8) takes it; skips the test if that is not
    allowed."""
    at.mkdir()
    options = f"size={size},mode=0700" + (",ro" if read_only else "")
    mounting = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(at)]
    try:
        mounted = subprocess.run(mounting, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount(8) here")
    if mounted.returncode:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.strip()}")
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)
