"""A job that was cancelled while it waited is sent all the same."""

from typing import Any
from unittest.mock import patch

from receiver.workers.submitter import Submitter
from tests.simulation.known_bad.plans import cancelled_while_it_waits
from tests.simulation.known_bad.variant import Variant

_begin = Submitter._begin


async def _never_mind(self: Submitter, job: Any, begins: Any) -> bool:
    return await _begin(self, job, begins) or job.attempts == 0


VARIANT = Variant(
    lambda: patch.object(Submitter, "_begin", _never_mind),
    caught_by=(
        "each attempt is committed before it is made",
        "submitting is committed before the first byte",
    ),
    plan=cancelled_while_it_waits,
)
