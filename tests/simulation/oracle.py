"""What has to be true at the end of a run, when nothing happens any more."""

from receiver.app import STORE_CHECK_SECONDS
from tests.simulation import money
from tests.simulation.provider import Upstream
from tests.simulation.schedule import INTERRUPTING_ACTIONS
from tests.simulation.truth import PROVISIONAL_FAILURES, JobHistory
from tests.simulation.world import World

GRACE = 24 * 3600.0
HOUR = 3600.0
FOREIGN_CHECKS = 2 * STORE_CHECK_SECONDS
"""Seconds until a process notices that another has freed a place."""
MAX_POLL_DELAY = 1.25 * HOUR
"""Seconds until the next poll, at most, including the jitter and a machine that is down."""
UNREACHABLE = {"outage", "clock_step"}
"""Actions that may delay an outcome's report by more than `MAX_POLL_DELAY`: the provider did not
answer for a while, or the clock was set."""


def check_end(world: World) -> None:
    """Check every promise about the end: of jobs, callbacks, streams and relays."""
    truth, require = world.truth, world.judge.require
    for job_id, history in truth.jobs.items():
        require(history.now["done"], "every job ends", job_id, history.now["phase"])
        if history.now["done"]:
            _check_outcome(world, job_id, history)
            _check_relays(world, job_id, history)
        if not world.performed & UNREACHABLE:
            _check_delay(world, job_id, history)
    failed = truth.one("SELECT count(*) FROM callbacks WHERE verdict = 'failed'")
    require(failed == 0, "every callback can be applied", failed)
    _check_submissions(world)
    money.check_end(world)
    _check_waits(world)
    for follower in world.users.followers:
        follower.check_end()


def _check_submissions(world: World) -> None:
    truth, require = world.truth, world.judge.require
    for label, submission in world.users.submissions.items():
        jobs = [
            job_id
            for (job_id,) in truth.db.execute(
                "SELECT job_id FROM job_metadata WHERE name = 'label' AND value = ?", (str(label),)
            )
        ]
        freed = sum(truth.jobs[job_id].events[-1].code == "provider_credentials" for job_id in jobs)
        require(len(jobs) <= 1 + freed, "a key makes one job", label, jobs)
        require(
            set(submission.request_ids) <= set(jobs), "an id that was given is of the job", label
        )
        if not freed:
            require(len(set(submission.request_ids)) <= 1, "a key leads to one id", label)


def _check_outcome(world: World, job_id: str, history: JobHistory) -> None:
    """A job's end is the provider's outcome, or a true failure that the service declared."""
    require = world.judge.require
    code, status = history.events[-1].code, history.now["status"]
    upstream = world.provider.jobs.get(job_id)
    arrived = world.provider.submissions.get(job_id, [])
    error = history.now["error"] or {}
    if upstream is not None and error:
        require(error["may_have_been_billed"], "what the provider took may have been billed",
                job_id, error)  # fmt: skip
        require(not error["retryable"], "nothing is retryable that may be paid twice", job_id,
                error)  # fmt: skip
    submission = next(
        (each for each in world.users.submissions.values() if job_id in each.request_ids), None
    )
    if submission is not None and submission.canceled:
        require(code == "canceled_by_user", "an acknowledged cancel stands", job_id, status, code)
    match code:
        case None | "provider_failed" | "canceled_by_provider":
            _check_by_provider(world, job_id, history, upstream)
        case "canceled_by_user":
            require(
                submission is not None and submission.cancel_asked, "a cancel was asked for", job_id
            )
        case "provider_refused" | "provider_credentials":
            require(arrived[-1:] == ["refused"], "a refusal was the provider's", job_id, arrived)
        case "not_submitted":
            require(all(each == "sure" for each in arrived), "not_submitted is true", job_id,
                    arrived)  # fmt: skip
        case _:
            require(code in PROVISIONAL_FAILURES, "a code that the contract knows", code)
            _check_provisional(world, job_id, history, str(code), upstream)


def _check_waits(world: World) -> None:
    """Without faults, whatever waits for a place gets one; and a user's only job begins within one
    job's time, however many another user has."""
    if world.schedule.places is None or world.performed != {"submit"}:
        return
    require, lives = world.judge.require, []
    for job_id, history in world.truth.jobs.items():
        begun = [each for each in history.events if each.document["phase"] == "submitting"]
        require(begun, "what waits for a place gets one", job_id)
        ended = next(each for each in history.events if each.document["done"])
        lives.append((history, begun[0].committed_at, ended.committed_at))
    if any(arrived != ["taken"] for arrived in world.provider.submissions.values()):
        return  # there have been pauses
    submitted = [each.how for each in world.schedule.actions]
    batch = {str(how["label"]) for how in submitted if how.get("batch")}
    longest = max((ended - began for _, began, ended in lives), default=0.0)
    for history, began, _ in lives:
        created = history.events[0].committed_at
        is_only = all(
            ended <= created
            for other, _, ended in lives
            if other is not history and other.user_id == history.user_id
        )
        if is_only and history.now["metadata"]["label"] not in batch:
            waited = began - created
            require(waited <= longest + FOREIGN_CHECKS,
                    "a user's only job begins within one job's time", waited, longest)  # fmt: skip


def _check_by_provider(
    world: World, job_id: str, history: JobHistory, upstream: Upstream | None
) -> None:
    require = world.judge.require
    trusted = world.truth.one(
        "SELECT count(*) FROM callbacks WHERE job_id = ? AND verdict = 'applied' AND confirmed = 0",
        job_id,
    )
    require(upstream is not None, "an outcome is of a job that was taken", job_id)
    if upstream is None or trusted:
        return
    require(history.now["status"] == upstream.fate.outcome and upstream.ended_at is not None,
            "the outcome is the provider's", job_id, history.now["status"],
            upstream.fate.outcome)  # fmt: skip
    if history.now["status"] == "COMPLETED":
        require(history.now["result"]["videoUrl"] == upstream.link, "the link is the provider's",
                job_id, history.now["result"])  # fmt: skip


def _check_provisional(
    world: World, job_id: str, history: JobHistory, code: str, upstream: Upstream | None
) -> None:
    """If the service gave up, the provider's outcome was unavailable for a day or longer."""
    require = world.judge.require
    arrived = world.provider.submissions.get(job_id, [])
    if upstream is None:
        require(code == "submit_outcome_unknown", "only what was taken can be late or lost",
                job_id, code)  # fmt: skip
        provably_unsent = not world.performed & INTERRUPTING_ACTIONS and all(
            each == "sure" for each in arrived
        )
        require(not provably_unsent, "what was surely not sent is not unknown", job_id, arrived)
        return
    identified = world.truth.row(job_id, "provider_request_id") != (None,)
    if not identified:
        acknowledged = world.callbacks.acknowledged.get(job_id, [])
        require(
            not acknowledged,
            "an acknowledged callback heals an unconfirmed job",
            job_id,
            acknowledged,
        )
        return
    declared_at = world.clock.at(world.truth.one("SELECT done_at FROM jobs WHERE id = ?", job_id))
    available_at = upstream.available_at
    # Outages end within hours, and polls continue for a day, at most an hour apart.
    in_time = available_at < declared_at + GRACE - 2 * HOUR
    reachable = world.provider.outages.last_end < declared_at + GRACE - 2 * HOUR
    require(not (in_time and reachable), "an available outcome replaces a failure that we declared",
            job_id, code, "declared", declared_at, "available", available_at)  # fmt: skip


def _check_delay(world: World, job_id: str, history: JobHistory) -> None:
    upstream = world.provider.jobs.get(job_id)
    if upstream is not None and upstream.fate.submission in ("accept", "accept_slowly"):
        reported, available = history.outcome.committed_at, upstream.available_at
        world.judge.require(
            reported < available + MAX_POLL_DELAY, "an available outcome is reported in time",
            job_id, "reported", reported, "available", available,
        )  # fmt: skip


def _check_relays(world: World, job_id: str, history: JobHistory) -> None:
    """A final state reached its sink, unless the sink answered 410."""
    if history.now["status"] not in history.relayed:
        return
    state, seq = world.truth.db.execute(
        "SELECT state, seq FROM deliveries WHERE job_id = ? ORDER BY seq DESC LIMIT 1", (job_id,)
    ).fetchone()
    arrived = world.sender.arrivals.get(job_id, [])
    require = world.judge.require
    require(seq == history.outcome.document["seq"], "the last message is of the last event", job_id)
    if state == "delivered":
        require(any(each.seq == seq and each.status == 200 for each in arrived),
                "what is called delivered has arrived", job_id)  # fmt: skip
    else:
        require(state == "disabled" and any(each.status == 410 for each in arrived),
                "every final state is delivered", job_id, state)  # fmt: skip
