"""A submission that ended in a timeout is sent again."""

from typing import Any
from unittest.mock import patch

from receiver.domain import submission
from receiver.domain.observations import SubmitNotSent
from tests.simulation.known_bad.variant import Variant


def _again(draft: Any, reason: str) -> None:
    submission.requeue(draft, SubmitNotSent(reason))


VARIANT = Variant(
    lambda: patch.object(submission, "become_unconfirmed", _again),
    caught_by=("no second submission unless the first was surely not sent",),
)
