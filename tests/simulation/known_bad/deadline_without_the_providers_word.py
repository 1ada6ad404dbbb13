"""The deadline ends a job that nobody was asked about, and nobody asks again."""

from unittest.mock import patch

from receiver.domain import schedule
from tests.simulation.known_bad.variant import Variant

VARIANT = Variant(
    lambda: patch.object(schedule, "GRACE", 0),
    caught_by=("an outcome that can be had corrects our word",),
    seeds=200,
    first=55,
)
