"""Makes files durable.

A new name, or a removed one, survives a power cut only once its folder is synced too: names are the
folder's content.
"""

import os
from pathlib import Path


def fsync(path: Path) -> None:
    """Sync a file's content, or a folder's entries: the names in it. Blocks. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
