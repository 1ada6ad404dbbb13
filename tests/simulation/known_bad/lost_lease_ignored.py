"""A relay attempt is settled by whoever made it, although its lease went to somebody else."""

from tests.simulation.known_bad.plans import stalled_while_it_sends
from tests.simulation.known_bad.variant import Variant, with_sql

VARIANT = Variant(
    lambda: with_sql("deliveries", "settle", " AND holder = :holder", ""),
    caught_by=("a delivery's end is its end",),
    plan=stalled_while_it_sends,
)
