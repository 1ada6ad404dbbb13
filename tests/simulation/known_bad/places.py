"""Variants that hand out the places at a provider wrongly."""

import asyncio
from dataclasses import replace
from typing import Any

from store.changes import CommitNotice
from store.due import Changed, DueJobs
from store.lanes import Found, Look
from store.records.transitions import Decide
from store.session import Session
from tests.simulation.known_bad import plans
from tests.simulation.known_bad.variant import Patch, instead_of, together, variant, with_sql

IN_FLIGHT = "'submitting', 'submit_unconfirmed', 'accepted', 'rendering', 'confirming'"
TOO_MANY = "no more jobs in flight than places"


@variant(TOO_MANY, plan=plans.flood_beside_one)
def calls_counted_in_place_of_jobs() -> Patch:
    """A job whose submission was answered gives its place back."""
    return with_sql("places", "count-in-flight", IN_FLIGHT, "'submitting'")


@variant(TOO_MANY, plan=plans.at_two_machines)
def counted_outside_of_the_transaction() -> Patch:
    """The places are counted, and then taken in another transaction."""
    return together(_counted_before(), _as_counted())


@instead_of(DueJobs, "advance")
async def _counted_before(
    advance: Any, self: DueJobs, look: Look, decide: Decide
) -> Found[Changed]:
    def count(db: Session, _: CommitNotice) -> dict[str, int]:
        free, _is_one_full = _right_count(self, db, look)
        return dict(free)

    if look.limits:
        look = replace(look, limits=await self._writer.normal(count))
        await asyncio.sleep(0.05)
    found: Found[Changed] = await advance(self, look, decide)
    return found


_right_count = DueJobs._count_places


@instead_of(DueJobs, "_count_places")
def _as_counted(count: Any, self: DueJobs, db: Session, look: Look) -> Any:
    _, is_one_full = count(self, db, look)
    return look.limits, is_one_full


@variant("the service comes to rest", "what waits for a place gets one", plan=plans.at_two_machines)
def batch_is_never_served() -> Patch:
    """Batch jobs are left out, also when no normal job waits."""
    is_next = "WHERE d.job_id = walk.job_id"
    return with_sql("places", "list-waiting", is_next, f"{is_next} AND d.batch = 0")


@variant("a user's only job begins within one job's time", plan=plans.flood_beside_one)
def places_by_age_alone() -> Patch:
    """The oldest job gets a free place, however many its user has."""
    order = "coalesce(in_flight.jobs, 0) + row_number()"
    return with_sql("places", "list-waiting", order, "0 * row_number()")
