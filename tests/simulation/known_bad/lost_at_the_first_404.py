"""One 404 of a status call, and the job is given up as lost."""

from unittest.mock import patch

from receiver.domain import polls
from tests.simulation.known_bad.plans import unknown_for_a_while
from tests.simulation.known_bad.variant import Variant

VARIANT = Variant(
    lambda: patch.object(polls, "_is_lost", lambda *_: True),
    caught_by=("a job is lost after five misses in ten minutes",),
    plan=unknown_for_a_while,
)
