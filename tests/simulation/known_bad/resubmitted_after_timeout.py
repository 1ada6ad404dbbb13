"""A submission that ended in a timeout is sent again."""

from typing import Any
from unittest.mock import patch

from receiver.domain import submission
from receiver.domain.observations import SubmissionBegins, SubmitNotSent
from tests.simulation.known_bad.variant import Variant


def _again(draft: Any, reason: str, _attempt: int | None = None) -> None:
    begun = SubmissionBegins(draft.job.attempts, draft.job.due.at)
    submission.requeue(draft, begun, SubmitNotSent(reason))


VARIANT = Variant(
    lambda: patch.object(submission, "become_unconfirmed", _again),
    caught_by=("no second submission unless the first was surely not sent",),
)
