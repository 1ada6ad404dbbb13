"""A status call fails once, and the claim that it was to confirm is taken as it is."""

from typing import Any
from unittest.mock import patch

from receiver.domain import claims, polls
from tests.simulation.known_bad.plans import forged_in_an_outage
from tests.simulation.known_bad.variant import Variant


def _believe(draft: Any, _retry_after: Any) -> None:
    claims.take_claim(draft)


VARIANT = Variant(
    lambda: patch.object(polls, "fail_to_confirm", _believe),
    caught_by=("a claim is believed only where nobody answers",),
    plan=forged_in_an_outage,
)
