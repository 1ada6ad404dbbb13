"""A file gets its name first, and is synced then."""

import os
from pathlib import Path
from typing import IO
from unittest.mock import patch

from receiver.archive import folder
from tests.simulation.known_bad.plans import power_cut_while_it_stores
from tests.simulation.known_bad.variant import Variant


def _finish(file: IO[bytes], target: Path) -> None:
    file.flush()
    folder._make(target.parent)
    Path(file.name).replace(target)
    folder._sync(target.parent)
    os.fsync(file.fileno())


VARIANT = Variant(
    lambda: patch.object(folder, "_finish", _finish),
    caught_by=("a file that has its name is whole",),
    plan=power_cut_while_it_stores,
)
