"""A terminal callback counts as it comes: whoever knows the address ends the job."""

from dataclasses import replace
from unittest.mock import patch

from receiver.assembly import rules
from receiver.domain.schedule import Rules
from receiver.settings import ServeSettings
from tests.simulation import machine
from tests.simulation.known_bad.plans import forged_while_it_renders
from tests.simulation.known_bad.variant import Variant


def _without_confirming(settings: ServeSettings) -> Rules:
    return replace(rules(settings), confirm_callbacks=False)


VARIANT = Variant(
    lambda: patch.object(machine, "rules", _without_confirming),
    caught_by=("the outcome is the provider's", "the link is the provider's"),
    plan=forged_while_it_renders,
)
