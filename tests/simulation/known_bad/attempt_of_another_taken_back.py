"""A worker that stood still takes back the attempt that another one has begun meanwhile."""

from dataclasses import replace
from typing import Any
from unittest.mock import patch

from receiver.domain import submission
from receiver.domain.observations import SubmissionBegins, SubmitNotSent
from tests.simulation.known_bad.plans import stopped_before_it_begins
from tests.simulation.known_bad.variant import Variant

_requeue = submission.requeue


def _by_number(draft: Any, begun: SubmissionBegins, not_sent: SubmitNotSent) -> None:
    """Whose attempt it was does not count, only which."""
    if draft.job.due is not None:
        begun = replace(begun, lease_until=draft.job.due.at)
    _requeue(draft, begun, not_sent)


VARIANT = Variant(
    lambda: patch.object(submission, "requeue", _by_number),
    caught_by=("no second submission unless the first was surely not sent",),
    plan=stopped_before_it_begins,
    first=33,
)
