"""Retention removes files, and forgets them before their removal is durable."""

import shutil
from pathlib import Path
from unittest.mock import patch

from receiver.archive import folder
from tests.simulation.known_bad.plans import power_cut_at_retention
from tests.simulation.known_bad.variant import Variant


def _remove(removed: Path) -> None:
    shutil.rmtree(removed, ignore_errors=True)


VARIANT = Variant(
    lambda: patch.object(folder, "_remove", _remove),
    caught_by=("retention leaves nothing",),
    plan=power_cut_at_retention,
)
