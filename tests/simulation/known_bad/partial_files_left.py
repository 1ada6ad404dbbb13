"""What a dead process had begun to write stays."""

from unittest.mock import patch

from receiver.archive.folder import FolderArchive
from tests.simulation.known_bad.plans import killed_while_it_stores
from tests.simulation.known_bad.variant import Variant

VARIANT = Variant(
    lambda: patch.object(FolderArchive, "_sweep", lambda *_: 0),
    caught_by=("retention leaves nothing",),
    plan=killed_while_it_stores,
)
