"""What came is the file, whatever its host said of its length and its digest."""

from unittest.mock import patch

from receiver.archive.download import Download
from tests.simulation.known_bad.variant import Variant

VARIANT = Variant(
    lambda: patch.object(Download, "_check_whole", lambda _: None),
    caught_by=("stored means whole",),
    first=1,
)
