"""Checks whether the service gave up too soon (a deadline, a lost job, an unconfirmed claim) or
reported too late.

It compares with every status call as the provider answered it. If the clock was set, the service
and the provider measure different times, and nothing can be checked.
"""

from tests.simulation.provider import Call
from tests.simulation.schedule import LOSING_ACTIONS
from tests.simulation.truth import JobHistory, LoggedEvent
from tests.simulation.world import World

DEADLINE = 3_600.0
GRACE = 24 * 3_600.0
MISSES = 5
MISSING = 600.0
CONFIRM_TIMEOUT = 60.0
MAX_POLL_DELAY = 1.25 * 3_600.0
"""Seconds until the next poll, at most, including the jitter and a machine that is down."""
UNREACHABLE = {"outage", "clock_step"}
"""Actions that may delay an outcome's report by more than `MAX_POLL_DELAY`: the provider did not
answer for a while, or the clock was set."""
SLACK = 2.0
"""Seconds allowed between an answer and the commit of what follows from it."""


def check_timeouts(world: World, job_id: str, history: JobHistory) -> None:
    """Check every failure that the service declared, and every claim it accepted unconfirmed."""
    calls = world.provider.calls.get(job_id, [])
    for event in history.events:
        match event.code:
            case "deadline_exceeded" | "result_missing":
                _check_deadline(world, job_id, event, calls)
            case "provider_job_lost":
                _check_lost(world, job_id, event, calls)
            case _:
                pass
    if not world.performed & LOSING_ACTIONS:
        _check_trusted_claims(world, job_id, history, calls)
    if not world.performed & UNREACHABLE:
        _check_delay(world, job_id, history)


def _check_deadline(world: World, job_id: str, event: LoggedEvent, calls: list[Call]) -> None:
    accepted_at, provider_id = world.truth.row(job_id, "accepted_at, provider_request_id") or (0, 0)
    deadline = world.clock.at(accepted_at) + DEADLINE
    asked = any(
        call.began >= deadline - SLACK
        and call.ended <= event.committed_at
        and call.answer != "none"
        for call in calls
    )
    world.judge.require(
        asked or provider_id is None or event.committed_at >= deadline + GRACE - SLACK,
        "a deadline needs the provider's word", job_id, "deadline", deadline, "declared",
        event.committed_at, calls[-3:],
    )  # fmt: skip


def _check_lost(world: World, job_id: str, event: LoggedEvent, calls: list[Call]) -> None:
    before = [call for call in calls if call.ended <= event.committed_at]
    misses: list[Call] = []
    for call in reversed(before):
        if call.answer == "missing":
            misses.append(call)
        elif call.answer != "none":
            break
    world.judge.require(
        len(misses) >= MISSES and event.committed_at - misses[-1].ended >= MISSING - SLACK,
        "a job is lost after five misses in ten minutes", job_id, event.committed_at, misses,
    )  # fmt: skip


def _check_delay(world: World, job_id: str, history: JobHistory) -> None:
    upstream = world.provider.jobs.get(job_id)
    if upstream is not None and upstream.fate.submission in ("accept", "accept_slowly"):
        reported, available = history.outcome.committed_at, upstream.available_at
        world.judge.require(
            reported < available + MAX_POLL_DELAY, "an available outcome is reported in time",
            job_id, "reported", reported, "available", available,
        )  # fmt: skip


def _check_trusted_claims(
    world: World, job_id: str, history: JobHistory, calls: list[Call]
) -> None:
    received_at = world.truth.one(
        "SELECT received_at FROM callbacks"
        " WHERE job_id = ? AND verdict = 'applied' AND confirmed = 0",
        job_id,
    )
    if received_at is None:
        return
    ended, received = history.outcome.committed_at, world.clock.at(received_at)
    if received > ended:
        # It came after a failure that the service declared, and ended nothing.
        ended = received + CONFIRM_TIMEOUT
    since = ended - CONFIRM_TIMEOUT + SLACK
    reports = [call for call in calls if call.answer == "report"]
    answered = [call for call in reports if since < call.ended < ended - SLACK]
    world.judge.require(not answered, "a claim is trusted only where nobody answers", job_id,
                        ended, answered)  # fmt: skip
