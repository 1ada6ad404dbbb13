"""That an attempt was not sent puts the job back into the queue, whichever attempt it speaks of."""

from typing import Any
from unittest.mock import patch

from receiver.domain import submission
from receiver.domain.observations import SubmissionBegins, SubmitNotSent
from tests.simulation.known_bad.plans import put_off_while_answers_are_lost
from tests.simulation.known_bad.variant import Variant

_requeue = submission.requeue


def _whichever(draft: Any, _begun: SubmissionBegins, not_sent: SubmitNotSent) -> None:
    due = draft.job.due
    latest = SubmissionBegins(draft.job.attempts, due.at if due else 0)
    _requeue(draft, latest, not_sent)


VARIANT = Variant(
    lambda: patch.object(submission, "requeue", _whichever),
    caught_by=(
        "submitting is committed before the first byte",
        "no second submission unless the first was surely not sent",
    ),
    plan=put_off_while_answers_are_lost,
    first=12,
)
