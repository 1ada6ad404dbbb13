"""Why a job waits, and what goes before it."""

from typing import NotRequired, TypedDict

from receiver.engine.context import ServiceContext
from receiver.engine.status_calls import LATE_AFTER
from receiver.engine.submissions import Submissions
from store.records.jobs import Job, Phase
from store.records.times import Lane


class Waiting(TypedDict):
    """Why a job does not go on."""

    reason: str
    """`pause`, `place` or `turn` of a queued job; `status_call` of one whose outcome is late."""
    ahead: int
    detail: NotRequired[str]
    """What its last attempt met, or the setting that limits status calls."""


async def waiting(services: ServiceContext, submissions: Submissions, job: Job) -> Waiting | None:
    """Why a job waits; None if it is under way or done."""
    if job.phase is not Phase.QUEUED:
        return _for_status_call(services, job)
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


def _for_status_call(services: ServiceContext, job: Job) -> Waiting | None:
    limit = services.status_calls.late_by
    if limit is None or job.due is None or job.due.lane not in (Lane.CONFIRM, Lane.POLL):
        return None
    is_late = services.clock.now() - job.due.at > LATE_AFTER
    return {"reason": "status_call", "ahead": 0, "detail": f"RECEIVER_{limit}"} if is_late else None


async def ahead(services: ServiceContext, job: Job, *, batch: bool = False) -> int:
    """How many jobs of the same user wait at the same provider and go first. `batch` is the
    priority of a job that is not stored yet."""
    by_priority = job.provider in services.rules.jobs_in_flight
    return await services.store.places.ahead(job, batch=batch, by_priority=by_priority)


async def _is_full(services: ServiceContext, provider: str) -> bool:
    limit = services.rules.jobs_in_flight.get(provider)
    return limit is not None and await services.store.places.in_flight(provider) >= limit
