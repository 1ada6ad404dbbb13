"""A file is synced, and its name is not."""

from unittest.mock import patch

from receiver.archive import folder
from tests.simulation.known_bad.variant import Variant

VARIANT = Variant(
    lambda: patch.object(folder, "_sync", lambda _: None), caught_by=("stored means whole",)
)
