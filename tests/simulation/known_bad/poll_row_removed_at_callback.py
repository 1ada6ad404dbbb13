"""A job whose callbacks come is polled no more: its next callback is lost, and so is the job."""

from typing import Any
from unittest.mock import patch

from receiver.domain import claims
from tests.simulation.known_bad.variant import Variant


def _no_more_polls(draft: Any, *_: Any) -> None:
    draft.set(due=None)


VARIANT = Variant(
    lambda: patch.object(claims, "_postpone_poll", _no_more_polls),
    caught_by=("every job ends",),
    first=2,
)
