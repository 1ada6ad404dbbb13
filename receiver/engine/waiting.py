"""Why a queued job waits, and what goes before it."""

from typing import NotRequired, TypedDict

from receiver.engine.context import ServiceContext
from receiver.engine.submissions import Submissions
from store.records.jobs import Job, Phase
from store.records.times import Lane


class Waiting(TypedDict):
    """Why a queued job is not under way."""

    reason: str
    """`pause`, `place` or `turn`."""
    ahead: int
    detail: NotRequired[str]
    """What its last attempt met."""


async def waiting(services: ServiceContext, submissions: Submissions, job: Job) -> Waiting | None:
    """Why a job waits; None if it is not queued."""
    if job.phase is not Phase.QUEUED:
        return None
    assert job.due is not None
    has_own_pause = job.due.lane is not Lane.SUBMIT or job.due.at > services.clock.now()
    if has_own_pause or submissions.holds_back(job):
        reason = "pause"
    else:
        reason = "place" if await _is_full(services, job.provider) else "turn"
    found: Waiting = {"reason": reason, "ahead": await ahead(services, job)}
    if (detail := await services.store.places.last_reason(job.id)) is not None:
        found["detail"] = detail
    return found


async def ahead(services: ServiceContext, job: Job) -> int:
    """How many jobs of the same user wait at the same provider and go first."""
    by_priority = job.provider in services.rules.jobs_in_flight
    return await services.store.places.ahead(job.id, job.created_at, by_priority=by_priority)


async def _is_full(services: ServiceContext, provider: str) -> bool:
    limit = services.rules.jobs_in_flight.get(provider)
    return limit is not None and await services.store.places.in_flight(provider) >= limit
