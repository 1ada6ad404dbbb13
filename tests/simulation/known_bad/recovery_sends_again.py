"""A start puts what a dead process was submitting back into the queue."""

from typing import Any
from unittest.mock import patch

from receiver.actions import recover
from receiver.domain.observations import SubmitNotSent
from tests.simulation.known_bad.variant import Variant


def _not_sent(reason: str) -> Any:
    return SubmitNotSent(reason)


VARIANT = Variant(
    lambda: patch.object(recover, "SubmissionInterrupted", _not_sent),
    caught_by=("no second submission unless the first was surely not sent",),
    seeds=200,
)
