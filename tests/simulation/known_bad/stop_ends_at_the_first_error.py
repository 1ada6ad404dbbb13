"""At SIGTERM one worker's trouble with the store is everybody's."""

from unittest.mock import patch

from receiver.workers.supervisor import Supervisor
from receiver.workers.worker import Worker
from tests.simulation.known_bad.plans import stopped_with_a_full_disk
from tests.simulation.known_bad.variant import Variant


async def _stop(_: Supervisor, worker: Worker) -> None:
    await worker.stop()


VARIANT = Variant(
    lambda: patch.object(Supervisor, "_stop", _stop),
    caught_by=("SIGTERM ends it cleanly",),
    plan=stopped_with_a_full_disk,
    first=1,
)
