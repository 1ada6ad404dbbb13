"""When a job is looked at next: backoff, poll cadence, deadlines. Pure; in milliseconds."""

import zlib
from dataclasses import dataclass

from store.records import Due, Job, Lane, Millis

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

SUBMIT_BACKOFF_MIN = 1 * SECOND
SUBMIT_BACKOFF_MAX = 30 * SECOND
GRACE = DAY
"""How long a job outlives its deadline while no answer can be had, and how long a failure that we
declared is still polled for the provider's own outcome."""
LATE_POLL_MAX = HOUR
MISSES_TO_LOSE = 5
MISSING_TO_LOSE = 10 * MINUTE
LINK_LIFE = 6 * DAY
"""A result's link is renewed before it is handed out when it is older; upstream keeps it seven."""
INBOX_FIRST = 1 * SECOND
"""How long a deadline waits for callbacks that are on disk and not applied yet."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that the state machine goes by; contract 2 names and explains each."""

    job_deadline: Millis = HOUR
    unconfirmed_deadline: Millis = HOUR
    confirm_callbacks: bool = True
    confirm_timeout: Millis = MINUTE
    poll_first: Millis = 30 * SECOND
    poll_min: Millis = 5 * SECOND
    poll_max: Millis = 120 * SECOND
    relay_first: Millis = 0
    """The gap before a relay message's first attempt."""


def deadline(job: Job, rules: Rules) -> Millis:
    """When the job has to have ended: counted from acceptance, while queued from creation."""
    return (job.accepted_at or job.created_at) + rules.job_deadline


def submit_backoff(job: Job) -> Millis:
    """The pause after an attempt that surely sent nothing: 1 s, doubling to 30 s."""
    pause = min(SUBMIT_BACKOFF_MIN << min(job.attempts - 1, 10), SUBMIT_BACKOFF_MAX)
    return max(SUBMIT_BACKOFF_MIN, min(_spread(job, pause), SUBMIT_BACKOFF_MAX))


def next_gap(gap: Millis | None, rules: Rules) -> Millis:
    """The cadence of polls: POLL_MIN, then half as much again each time, up to POLL_MAX."""
    if gap is None:
        return rules.poll_min
    return min(_half_as_much_again(gap), rules.poll_max)


def _half_as_much_again(gap: Millis) -> Millis:
    return gap + (gap + 1) // 2  # rounded up, or a gap of a millisecond would never grow


def next_late_gap(gap: Millis | None, rules: Rules) -> Millis:
    """The cadence after a failure that we declared: grows on from where it was, to an hour."""
    if gap is None:
        return rules.poll_min
    return max(min(_half_as_much_again(gap), LATE_POLL_MAX), rules.poll_min)


def jittered(job: Job, gap: Millis, rules: Rules) -> Millis:
    """The gap with its tenth of jitter, never outside of POLL_MIN and the gap's own ceiling."""
    return max(rules.poll_min, min(_spread(job, gap), max(gap, rules.poll_max)))


def next_look(job: Job, at: Millis, now: Millis, rules: Rules) -> Due:
    """The due row of an accepted, unfinished job whose next status call is wished at `at`.

    A job without a provider's id cannot be polled: time decides it. A poll is never later than the
    deadline, since the deadline needs an answer that was asked for after it, nor than the end of
    the grace that follows, whatever patience the provider asks for. Once both are past, the next
    answer decides.
    """
    end = deadline(job, rules)
    claims = job.tracking.claims
    if job.provider_request_id is None:
        return Due(Lane.WAIT, claims[0].received_at + rules.confirm_timeout if claims else end)
    if claims:
        return Due(Lane.CONFIRM, at)
    limits = (end, end + GRACE, now + rules.poll_max)
    return Due(Lane.POLL, min(at, next(limit for limit in limits if now < limit)))


def _spread(job: Job, gap: Millis) -> Millis:
    """`gap` plus or minus a twentieth, by a hash of the job and its count of polls: spread between
    jobs, and the same whenever it is computed again."""
    share = zlib.crc32(f"{job.id}:{job.attempts}:{job.tracking.polls}".encode()) / 2**32
    return gap + int(gap * (share - 0.5) / 10)
