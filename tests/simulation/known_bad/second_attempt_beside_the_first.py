"""After a long pause a process takes a message again that it is still sending itself."""

from unittest.mock import patch

from receiver.workers.worker import TaskPool
from tests.simulation.known_bad.plans import paused_as_they_send
from tests.simulation.known_bad.variant import Variant

VARIANT = Variant(
    lambda: patch.object(TaskPool, "is_running", lambda *_: False),
    caught_by=("relays come in their job's order",),
    plan=paused_as_they_send,
    first=1,
)
