"""An Idempotency-Key is looked up before, and the job is made without looking at it again."""

from contextlib import suppress
from typing import Any
from unittest.mock import patch

from store import jobs
from store.errors import KeyHeld
from store.idempotency import take_key
from tests.simulation.known_bad.plans import tried_again_beside_a_stall
from tests.simulation.known_bad.variant import Variant


def _never_mind(*given: Any) -> None:
    with suppress(KeyHeld):
        take_key(*given)


VARIANT = Variant(
    lambda: patch.object(jobs, "take_key", _never_mind),
    caught_by=("a key makes one job", "a key leads to one id"),
    plan=tried_again_beside_a_stall,
    first=12,
)
