"""A relay message is taken although somebody is sending it, or an older one of its job."""

from tests.simulation.known_bad.plans import two_processes_and_a_slow_sink
from tests.simulation.known_bad.variant import Patch, Variant, together, with_sql


def _applied() -> Patch:
    alive = "flying.held_until > :now"
    return together(
        with_sql("deliveries", "due-at-place", alive, "FALSE"),
        with_sql("deliveries", "hold", alive, "FALSE"),
    )


VARIANT = Variant(
    _applied,
    caught_by=("one attempt at a time for a job", "relays come in their job's order"),
    plan=two_processes_and_a_slow_sink,
)
