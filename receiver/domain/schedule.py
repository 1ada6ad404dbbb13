"""The schedule of a job: backoff, poll cadence, deadlines. Pure; in milliseconds."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from receiver.domain.client_webhooks import ClientWebhooks
from store.records.jobs import Job, Phase
from store.records.times import Due, Lane, Millis

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

GRACE = DAY
"""How long a job outlives its deadline while the provider gives no answer, and how long a failure
that may be corrected is still polled for the provider's own outcome."""
LATE_POLL_MAX = HOUR
"""The longest gap between polls of a finished job."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a provider wants to be asked for the status of its jobs."""

    can_ask: bool = True
    """Whether it can be asked at all."""
    every: Millis = 0
    """The shortest gap between two calls."""
    retention: Millis | None = None
    """How long it knows a finished job, if that is short."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The state machine's settings; see docs/settings.md."""

    job_deadline: Millis = HOUR
    queue_deadline: Millis = DAY
    """In place of `job_deadline` while a job waits for a provider in `jobs_in_flight`."""
    jobs_in_flight: Mapping[str, int] = field(default_factory=dict)
    """The maximum number of jobs in flight at each provider that has one."""
    unconfirmed_deadline: Millis = HOUR
    submit_lease: Millis = 75 * SECOND
    """How long the answer to a submission is waited for before the job becomes unconfirmed."""
    confirm_callbacks: bool = True
    confirm_timeout: Millis = MINUTE
    poll_first: Millis = 30 * SECOND
    poll_min: Millis = 5 * SECOND
    poll_max: Millis = 120 * SECOND
    late_poll_max: Millis = LATE_POLL_MAX
    can_ask: bool = True
    """Whether the job's provider can be asked for its status."""
    paces: Mapping[str, Pace] = field(default_factory=dict)
    """Of the providers that have one."""
    relay_first: Millis = 0
    """The gap before a relay message's first attempt."""
    archive: bool = False
    """Whether result files are kept."""
    root: str = ""
    """The path with which links to jobs begin, before `/v1`."""
    client_webhooks: Mapping[str, ClientWebhooks] = field(default_factory=dict)
    """By `Job.source`: the shape of webhooks to clients that speak a provider's own API."""

    def of(self, provider: str) -> Self:
        """The rules for jobs of a provider: it is asked twice while it knows a finished job."""
        pace = self.paces.get(provider)
        if pace is None:
            return self
        shortest = max(self.poll_min, pace.every)
        half = self.late_poll_max if pace.retention is None else pace.retention // 2
        return replace(
            self,
            poll_min=shortest,
            poll_max=max(shortest, min(self.poll_max, half)),
            late_poll_max=max(shortest, min(self.late_poll_max, half)),
            can_ask=pace.can_ask,
        )


def deadline(job: Job, rules: Rules) -> Millis:
    """The job's deadline, counted from acceptance, or until then from creation."""
    if job.phase is Phase.QUEUED:
        return job.created_at + longest_wait(job.provider, rules)
    return (job.accepted_at or job.created_at) + rules.job_deadline


def longest_wait(provider: str, rules: Rules) -> Millis:
    """How long a job may be queued for a provider."""
    return rules.queue_deadline if provider in rules.jobs_in_flight else rules.job_deadline


def backoff(tries: int, first: Millis, longest: Millis) -> Millis:
    """The gap after so many attempts: `first`, doubling to `longest`."""
    return min(first << min(tries - 1, 20), longest)


def next_gap(gap: Millis | None, rules: Rules, longest: Millis) -> Millis:
    """The next gap between polls: POLL_MIN, growing by half each time, up to `longest`."""
    if gap is None:
        return rules.poll_min
    longer = gap + (gap + 1) // 2  # rounded up, so that a gap of 1 ms grows too
    return max(min(longer, longest), rules.poll_min)


def jittered(job: Job, gap: Millis, rules: Rules) -> Millis:
    """The gap, up to a tenth shorter, but at least POLL_MIN. How much follows from the job's id and
    its number of polls: it is different between jobs, but reproducible."""
    share = zlib.crc32(f"{job.id}:{job.tracking.polls}".encode()) / 2**32
    return max(rules.poll_min, gap - int(gap * share / 10))


def next_status_call(job: Job, at: Millis, now: Millis, rules: Rules) -> Due | None:
    """The due row of an accepted job whose next status call should be at `at`. It may be finished,
    with a failure that the provider may still correct.

    A job without a provider id, or of a provider that cannot be asked, cannot be polled: it waits
    for CONFIRM_TIMEOUT after its first claim or, without a claim, for its deadline. A claim waits
    for CONFIRM_TIMEOUT after the first call that failed to decide it. The deadline of any other
    job, and the end of its grace period, take effect only by a call begun after them. So no poll is
    scheduled past the next of these times, whatever the provider's Retry-After. After both, the gap
    is at most POLL_MAX.
    """
    end, tracking = deadline(job, rules), job.tracking
    if job.provider_request_id is None or not rules.can_ask:
        if tracking.claims:
            return Due(Lane.WAIT, tracking.claims[0].received_at + rules.confirm_timeout)
        return None if job.done else Due(Lane.WAIT, end)
    if tracking.claims:
        since = now if tracking.failing_since is None else tracking.failing_since
        return Due(Lane.CONFIRM, min(at, since + rules.confirm_timeout))
    if job.done_at is not None:
        last = max(job.done_at, tracking.completed_at or 0) + GRACE
        return Due(Lane.POLL, min(at, last)) if now < last else None
    limits = (end, end + GRACE, now + rules.poll_max)
    return Due(Lane.POLL, min(at, next(limit for limit in limits if now < limit)))
