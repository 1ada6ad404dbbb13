"""A start puts what a dead process was submitting back into the queue."""

from typing import Any
from unittest.mock import patch

from receiver.domain import submission
from receiver.domain.observations import SubmissionBegins, SubmitNotSent
from tests.simulation.known_bad.variant import Variant

_unconfirmed = submission.become_unconfirmed


def _not_sent(draft: Any, reason: str, attempt: int | None = None) -> None:
    if reason != "the service stopped during the submission":
        _unconfirmed(draft, reason, attempt)
        return
    begun = SubmissionBegins(draft.job.attempts, draft.job.due.at)
    submission.requeue(draft, begun, SubmitNotSent(reason))


VARIANT = Variant(
    lambda: patch.object(submission, "become_unconfirmed", _not_sent),
    caught_by=("no second submission unless the first was surely not sent",),
    seeds=200,
)
