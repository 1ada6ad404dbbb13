"""Whether our own words were spoken too soon: a deadline, a lost job, a claim that was believed.

Measured against every status call as the provider answered it. Where somebody set the clock, the
service and the provider mean other seconds, and nothing can be said.
"""

from tests.simulation.provider import Call
from tests.simulation.truth import Known, Told
from tests.simulation.world import World

DEADLINE = 3_600.0
GRACE = 24 * 3_600.0
MISSES = 5
MISSING = 600.0
CONFIRM_TIMEOUT = 60.0
SLACK = 2.0
"""Seconds between an answer and the commit of what follows from it, and more: hops may be slow."""


def check_patience(world: World, job_id: str, known: Known) -> None:
    """Every failure that we declared, at the moment we did, and every claim that we believed."""
    calls = world.provider.calls.get(job_id, [])
    for told in known.events:
        error = told.document["error"]
        match None if error is None else error["code"]:
            case "deadline_exceeded" | "result_missing":
                _check_deadline(world, job_id, told, calls)
            case "provider_job_lost":
                _check_lost(world, job_id, told, calls)
            case _:
                pass
    if world.calm:
        _check_belief(world, job_id, known, calls)


def _check_deadline(world: World, job_id: str, told: Told, calls: list[Call]) -> None:
    accepted_at, provider_id = world.truth.row(job_id, "accepted_at, provider_request_id") or (0, 0)
    deadline = world.clock.at(accepted_at) + DEADLINE
    asked = any(
        call.began >= deadline - SLACK and call.ended <= told.heard_at and call.answer != "none"
        for call in calls
    )
    world.judge.require(
        asked or provider_id is None or told.heard_at >= deadline + GRACE - SLACK,
        "a deadline needs the provider's word", job_id, "deadline", deadline, "declared",
        told.heard_at, calls[-3:],
    )  # fmt: skip


def _check_lost(world: World, job_id: str, told: Told, calls: list[Call]) -> None:
    before = [call for call in calls if call.ended <= told.heard_at]
    misses: list[Call] = []
    for call in reversed(before):
        if call.answer == "missing":
            misses.append(call)
        elif call.answer != "none":
            break
    world.judge.require(
        len(misses) >= MISSES and told.heard_at - misses[-1].ended >= MISSING - SLACK,
        "a job is lost after five misses in ten minutes", job_id, told.heard_at, misses,
    )  # fmt: skip


def _check_belief(world: World, job_id: str, known: Known, calls: list[Call]) -> None:
    believed = world.truth.one(
        "SELECT 1 FROM callbacks WHERE job_id = ? AND verdict = 'applied' AND confirmed = 0", job_id
    )
    if not believed:
        return
    ended = known.outcome.heard_at
    since = ended - CONFIRM_TIMEOUT + SLACK
    answered = [call for call in calls if call.usable and since < call.ended < ended - SLACK]
    world.judge.require(not answered, "a claim is believed only where nobody answers", job_id,
                        ended, answered)  # fmt: skip
