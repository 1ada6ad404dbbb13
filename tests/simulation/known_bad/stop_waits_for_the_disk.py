"""At SIGTERM a submission tells how it ended until the store can take it, however long that is."""

from typing import Any
from unittest.mock import patch

from receiver.workers.submitter import Submitter
from tests.simulation.known_bad.plans import stopped_with_a_full_disk
from tests.simulation.known_bad.variant import Variant


async def _until_stored(self: Submitter, job: Any, begun: Any, answer: Any) -> None:
    await self._report(job, begun, answer)


VARIANT = Variant(
    lambda: patch.object(Submitter, "_report_once", _until_stored),
    caught_by=("SIGTERM ends it within ten seconds",),
    plan=stopped_with_a_full_disk,
    first=1,
)
