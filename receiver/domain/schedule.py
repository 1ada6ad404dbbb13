"""The schedule of a job: backoff, poll cadence, deadlines. Pure; in milliseconds."""

import zlib
from dataclasses import dataclass

from store.records.jobs import Job
from store.records.times import Due, Lane, Millis

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

SUBMIT_BACKOFF_MIN = 1 * SECOND
SUBMIT_BACKOFF_MAX = 30 * SECOND
GRACE = DAY
"""How long a job outlives its deadline while the provider gives no answer, and how long a
provisional failure is still polled for the provider's own outcome."""
LATE_POLL_MAX = HOUR
"""The longest gap between polls after a provisional failure."""
MISSES_TO_LOSE = 5
MISSING_TO_LOSE = 10 * MINUTE
"""A job counts as lost after this many 404s with no status in between, over at least this time."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The state machine's settings; see docs/settings.md."""

    job_deadline: Millis = HOUR
    unconfirmed_deadline: Millis = HOUR
    submit_lease: Millis = 75 * SECOND
    """How long the answer to a submission is waited for before the job becomes unconfirmed."""
    confirm_callbacks: bool = True
    confirm_timeout: Millis = MINUTE
    poll_first: Millis = 30 * SECOND
    poll_min: Millis = 5 * SECOND
    poll_max: Millis = 120 * SECOND
    relay_first: Millis = 0
    """The gap before a relay message's first attempt."""
    archive: bool = False
    """Whether result files are kept."""


def deadline(job: Job, rules: Rules) -> Millis:
    """The job's deadline, counted from acceptance, or until then from creation."""
    return (job.accepted_at or job.created_at) + rules.job_deadline


def submit_backoff(job: Job) -> Millis:
    """The delay after an attempt that was certainly not accepted (not sent, 429, or 503 with
    Retry-After): 1 s, doubling to 30 s, with jitter."""
    pause = min(SUBMIT_BACKOFF_MIN << min(job.attempts - 1, 10), SUBMIT_BACKOFF_MAX)
    return max(SUBMIT_BACKOFF_MIN, min(_spread(job, pause), SUBMIT_BACKOFF_MAX))


def next_gap(gap: Millis | None, rules: Rules, longest: Millis | None = None) -> Millis:
    """The next gap between polls: POLL_MIN, growing by half each time, up to `longest` (without
    it: POLL_MAX)."""
    if gap is None:
        return rules.poll_min
    longer = gap + (gap + 1) // 2  # rounded up, so that a gap of 1 ms grows too
    return max(min(longer, longest or rules.poll_max), rules.poll_min)


def jittered(job: Job, gap: Millis, rules: Rules) -> Millis:
    """The gap, spread by 5 % either way; at least POLL_MIN, and at most POLL_MAX or, if longer, the
    gap itself."""
    return max(rules.poll_min, min(_spread(job, gap), max(gap, rules.poll_max)))


def next_status_call(job: Job, at: Millis, now: Millis, rules: Rules) -> Due:
    """The due row of an accepted job whose next status call should be at `at`. It may be finished,
    if it has claims that could correct a failure that we declared.

    A job without a provider id cannot be polled: it waits for CONFIRM_TIMEOUT after its first claim
    or, without a claim, for its deadline. The deadline of any other job, and the end of its grace
    period, take effect only by a call begun after them. So no poll is scheduled past the next of
    these times, whatever the provider's Retry-After. After both, the gap is at most POLL_MAX.
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
    """`gap` plus or minus a twentieth, by a hash of the job's id and its numbers of attempts and
    polls: different between jobs, but reproducible."""
    share = zlib.crc32(f"{job.id}:{job.attempts}:{job.tracking.polls}".encode()) / 2**32
    return gap + int(gap * (share - 0.5) / 10)
