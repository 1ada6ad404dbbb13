"""Statistics of this hour and the 23 before it (`GET /v1/statistics`)."""

from collections import Counter
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from receiver.domain.schedule import DAY, HOUR
from receiver.domain.serialization import timestamp
from receiver.http_api.auth import Caller
from receiver.http_api.context import ApiContext
from receiver.http_api.queries import check_parameters, selected_user_or_all
from receiver.http_api.responses import json_response
from store.records.times import Millis
from store.statistics import Recent

HOURS = DAY // HOUR
NEWEST = 20_000
"""The number of jobs whose times are ranked, at most."""


async def statistics(context: ApiContext, request: Request, caller: Caller) -> Response:
    """Jobs and webhook attempts of the last 24 hours, by hour."""
    check_parameters(request, "user")
    user_id = await selected_user_or_all(context, request, caller)
    now = context.services.clock.now()
    since = now - now % HOUR - (HOURS - 1) * HOUR
    stored, recent = context.services.store.statistics, Recent(user_id, since, NEWEST)
    jobs = await stored.count_jobs(recent, HOUR)
    attempts = await stored.count_attempts(recent, HOUR)
    times = await stored.time_jobs(recent, HOUR)
    all_day = await stored.time_jobs(recent, HOURS * HOUR)
    tried = {n: counts for n, *counts in attempts}
    statuses: list[Counter[str]] = [Counter() for _ in range(HOURS)]
    known: list[Counter[str]] = [Counter() for _ in range(HOURS)]
    for n, status, evidence, count in jobs:
        if n < HOURS:
            statuses[n][status] += count
            if evidence is not None:
                known[n][evidence] += count
    document = {
        "since": timestamp(since),
        "complete": sum(count for *_, count in jobs) <= NEWEST,
        **_times(all_day.get(0)),
        "hours": [
            {
                "at": timestamp(since + n * HOUR),
                "jobs": statuses[n],
                "known": known[n],
                **_times(times.get(n)),
                "attempts": tried.get(n, (0, 0))[0],
                "delivered": tried.get(n, (0, 0))[1],
            }
            for n in range(HOURS)
        ],
    }
    return json_response(document)


def _times(found: tuple[Millis, Millis] | None) -> Mapping[str, Millis | None]:
    median, p95 = found or (None, None)
    return {"median_ms": median, "p95_ms": p95}
