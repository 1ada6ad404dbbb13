"""In a rush, background work has two places every 100 ms, however much of it waits."""

from typing import Any
from unittest.mock import patch

from store.shares import MOST_PLACES, Shares
from tests.simulation.known_bad.plans import flooded_while_jobs_end
from tests.simulation.known_bad.variant import Variant
from tests.simulation.loop import loop_of_world

RUSH = 8
RUSH_ENDS = 0.05
TURN_GAP = 0.1
TURN_PLACES = 2


def _in_turns(self: Any, urgent: int, _waited: float) -> int:
    now = loop_of_world().time()
    if urgent >= RUSH:
        self.rush_until = now + RUSH_ENDS
    if now >= getattr(self, "rush_until", 0.0):
        return TURN_PLACES if urgent else MOST_PLACES
    if now < getattr(self, "turn_from", 0.0):
        return 0
    self.turn_from = now + TURN_GAP
    return TURN_PLACES


VARIANT = Variant(
    lambda: patch.object(Shares, "background_places", _in_turns),
    caught_by=("no work waits for a second while other work is served",),
    plan=flooded_while_jobs_end,
)
