"""Statistics of this hour and the 23 before it (`GET /v1/statistics`)."""

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict

from starlette.requests import Request
from starlette.responses import Response

from receiver.domain.serialization import timestamp
from receiver.http_api.auth import Caller
from receiver.http_api.context import ApiContext
from receiver.http_api.queries import check_parameters, selected_user_or_all
from receiver.http_api.responses import json_response
from store.records.times import Millis
from store.statistics import RecentAttempt, RecentJob

HOUR: Millis = 3_600_000
HOURS = 24
NEWEST = 5_000
"""Maximum number of jobs, and of deliveries, that are counted, so that the cost is bounded. Of
those deliveries, at most twice as many attempts are counted."""
MAX_HOSTS = 100


Counts = Mapping[str, int]


class _Times(TypedDict):
    median_ms: int | None
    p95_ms: int | None


class StatisticsHour(_Times):
    """The jobs that were created in an hour, and the attempts that were made in it for messages of
    these 24 hours."""

    at: str
    jobs: Counts
    known: Counts
    attempts: int
    delivered: int


class StatisticsHost(TypedDict):
    """A host that webhooks of these 24 hours are sent to."""

    host: str
    attempts: int
    delivered: int
    deliveries: Counts
    p95_ms: int | None
    last_error: str | None
    last_error_at: str | None
    held: bool


class Statistics(_Times):
    """What happened in the last 24 hours."""

    since: str
    jobs_since: str
    attempts_complete: bool
    hours: list[StatisticsHour]
    hosts: list[StatisticsHost]


async def statistics(context: ApiContext, request: Request, caller: Caller) -> Response:
    """Jobs and webhook attempts of the last 24 hours by hour, and webhook endpoints."""
    check_parameters(request, "user")
    user_id = await selected_user_or_all(context, request, caller)
    now = context.services.clock.now()
    since = now - now % HOUR - (HOURS - 1) * HOUR
    stored = context.services.store.statistics
    jobs = await stored.jobs(user_id, since, NEWEST)
    attempts = await stored.attempts(user_id, since, NEWEST)
    # In a thread, since it can take 20 ms.
    document = await asyncio.to_thread(summary, since, jobs, attempts, context.is_throttled)
    return json_response(document)


def summary(
    since: Millis,
    jobs: Sequence[RecentJob],
    attempts: Sequence[RecentAttempt],
    is_throttled: Callable[[str], bool],
) -> Statistics:
    """Jobs by hour of creation, attempts by hour and by host. `jobs` are newest first."""
    jobs_of: defaultdict[Millis, list[RecentJob]] = defaultdict(list)
    attempts_of: defaultdict[Millis, list[RecentAttempt]] = defaultdict(list)
    hosts: defaultdict[str, list[RecentAttempt]] = defaultdict(list)
    last = since + (HOURS - 1) * HOUR
    for job in jobs:
        # If the clock was set back, jobs may be from the future.
        jobs_of[min(job.created_at - job.created_at % HOUR, last)].append(job)
    for attempt in attempts:
        hosts[attempt.host].append(attempt)
        if attempt.at is not None:
            attempts_of[min(attempt.at - attempt.at % HOUR, last)].append(attempt)
    busiest = sorted(hosts, key=lambda host: (-len(hosts[host]), host))[:MAX_HOSTS]
    return {
        "since": timestamp(since),
        "jobs_since": timestamp(jobs[-1].created_at if len(jobs) >= NEWEST else since),
        "attempts_complete": len({attempt.delivery_id for attempt in attempts}) < NEWEST
        and len(attempts) < 2 * NEWEST,
        **_times(jobs),
        "hours": [_hour(at, jobs_of[at], attempts_of[at]) for at in range(since, last + 1, HOUR)],
        "hosts": [_host(host, hosts[host], throttled=is_throttled(host)) for host in busiest],
    }


def _hour(at: Millis, jobs: list[RecentJob], attempts: list[RecentAttempt]) -> StatisticsHour:
    return {
        "at": timestamp(at),
        "jobs": Counter(job.status for job in jobs),
        "known": Counter(job.evidence for job in jobs if job.done_at and job.evidence),
        **_times(jobs),
        "attempts": len(attempts),
        "delivered": sum(map(_good, attempts)),
    }


def _host(host: str, attempts: list[RecentAttempt], *, throttled: bool) -> StatisticsHost:
    made = [attempt for attempt in attempts if attempt.at is not None]
    failed = [attempt for attempt in made if not _good(attempt)]
    last = max(failed, key=lambda attempt: attempt.at or 0, default=None)
    return {
        "host": host,
        "attempts": len(made),
        "delivered": len(made) - len(failed),
        "deliveries": Counter({each.delivery_id: each.state for each in attempts}.values()),
        "p95_ms": _quantile([attempt.duration_ms or 0 for attempt in made], 95),
        "last_error": last and (last.error or str(last.status_code)),
        "last_error_at": timestamp(last and last.at),
        "held": throttled,
    }


def _good(attempt: RecentAttempt) -> bool:
    return 200 <= (attempt.status_code or 0) < 300


def _times(jobs: Sequence[RecentJob]) -> _Times:
    done = [(job.created_at, job.done_at) for job in jobs if job.status == "COMPLETED"]
    took = [max((end or begin) - begin, 0) for begin, end in done]
    return {"median_ms": _quantile(took, 50), "p95_ms": _quantile(took, 95)}


def _quantile(values: Sequence[Millis], percent: int) -> Millis | None:
    """The nearest-rank percentile."""
    rank = math.ceil(len(values) * percent / 100)
    return sorted(values)[rank - 1] if values else None
