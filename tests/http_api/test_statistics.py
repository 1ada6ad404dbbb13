"""`GET /v1/statistics`."""

from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver.http_api.statistics import HOUR, NEWEST, summary
from store.statistics import RecentAttempt, RecentJob
from tests.http_api.webhook_job import RELAY
from tests.support.service import eventually, running_service, submit, wait_for_job

SCHEDULE = {"relay_schedule": "0,0.01,0.01,0.01,0.01,0.01"}
NOW = 1_767_323_045_678
SINCE = NOW - NOW % HOUR - 23 * HOUR


def test_jobs_count_in_the_hour_of_their_creation() -> None:
    jobs = [
        RecentJob(NOW + 9 * HOUR, "COMPLETED", "poll", NOW),  # the clock was set back
        RecentJob(NOW, "IN_PROGRESS", "callback", None),
        RecentJob(SINCE + HOUR, "FAILED", "deadline", NOW),
        RecentJob(SINCE + 1, "COMPLETED", "poll", SINCE + 11),
        RecentJob(SINCE, "COMPLETED", "callback", SINCE + 3 * HOUR),
    ]
    seen = summary(SINCE, jobs, [], lambda _: False)
    hours = seen["hours"]
    assert (len(hours), hours[0]["at"], hours[-1]["at"][:13]) == (
        24,
        seen["since"],
        "2026-01-02T03",
    )
    assert hours[0]["jobs"] == {"COMPLETED": 2}
    assert hours[0]["known"] == {"poll": 1, "callback": 1}
    assert (hours[0]["median_ms"], hours[0]["p95_ms"]) == (10, 3 * HOUR)
    assert (hours[1]["jobs"], hours[1]["median_ms"]) == ({"FAILED": 1}, None)
    assert hours[-1]["jobs"] == {"COMPLETED": 1, "IN_PROGRESS": 1}
    assert hours[-1]["known"] == {"poll": 1}
    assert (seen["median_ms"], seen["jobs_since"]) == (10, seen["since"])
    many = summary(SINCE, [RecentJob(NOW, "PENDING", None, None)] * NEWEST, [], lambda _: False)
    assert many["jobs_since"] == "2026-01-02T03:04:05.678Z"


def test_attempts_count_by_hour_and_by_host() -> None:
    attempts = [
        RecentAttempt("msg_3", "b:443", "pending", NOW, None, None, None, None),
        RecentAttempt("msg_2", "a:443", "delivered", SINCE, SINCE + HOUR, 204, None, 20),
        RecentAttempt("msg_1", "a:443", "exhausted", SINCE, SINCE + 5, 503, None, 40),
        RecentAttempt("msg_1", "a:443", "exhausted", SINCE, SINCE + HOUR, None, "timeout", 60),
    ]
    seen = summary(SINCE, [], attempts, lambda host: host == "b:443")
    assert (seen["hours"][0]["attempts"], seen["hours"][0]["delivered"]) == (1, 0)
    assert (seen["hours"][1]["attempts"], seen["hours"][1]["delivered"]) == (2, 1)
    a, b = seen["hosts"]
    assert (a["host"], a["attempts"], a["delivered"], a["p95_ms"]) == ("a:443", 3, 1, 60)
    assert a["deliveries"] == {"delivered": 1, "exhausted": 1}
    assert (a["last_error"], a["held"]) == ("timeout", False)
    assert str(a["last_error_at"]).startswith("2026-01-01T05")
    assert (b["attempts"], b["deliveries"], b["last_error"], b["held"]) == (
        0,
        {"pending": 1},
        None,
        True,
    )


@pytest.mark.parametrize(
    ("deliveries", "attempts", "complete"),
    [
        *((0, 0, True), (NEWEST - 1, 1, True), (NEWEST // 2 + 1, 2, True)),
        *((NEWEST, 1, False), (NEWEST // 4, 8, False)),
    ],
)
def test_attempts_are_complete_unless_a_limit_was_reached(
    deliveries: int, attempts: int, complete: bool
) -> None:
    rows = [
        RecentAttempt(f"msg_{n}", "a:443", "exhausted", NOW, NOW, 500, None, 1)
        for n in range(deliveries)
        for _ in range(attempts)
    ]
    assert summary(SINCE, [], rows, lambda _: False)["attempts_complete"] is complete


async def test_the_last_day_of_a_user_and_of_everybody(tmp_path: Path) -> None:
    async with running_service(tmp_path, **RELAY | SCHEDULE) as service:
        ada, bob = await service.user("ada"), await service.user("bob")
        root = await service.user("root", admin=True)
        job = await submit(ada, webhookUrl="http://127.0.0.1:9/hook")
        await wait_for_job(ada, job["request_id"], status="COMPLETED")
        other = await submit(bob)
        await bob.post(other["links"]["cancel"])

        seen = await eventually(lambda: read(ada), failed_five_times, "a throttled host")
        assert len(seen["hours"]) == 24
        hours = seen["hours"]  # another hour may have begun meanwhile
        (ended,) = [hour for hour in hours if hour["jobs"]]
        assert (ended["jobs"], ended["known"]) == ({"COMPLETED": 1}, {"callback": 1})
        assert sum(hour["delivered"] for hour in hours) == 0
        assert seen["p95_ms"] == seen["median_ms"] == ended["p95_ms"] >= 300
        (host,) = seen["hosts"]
        assert (host["host"], host["last_error"]) == ("127.0.0.1:9", "connect_failed")
        assert seen["jobs_since"] == seen["since"]
        assert seen["attempts_complete"] is True

        assert await statuses(root) == {}
        assert await statuses(root, user="*") == {"COMPLETED": 1, "CANCELLED": 1}
        assert await statuses(root, user="bob") == {"CANCELLED": 1}
        unknown = await ada.get("/v1/statistics", params={"since": "1"})
        assert unknown.status_code == 400


def failed_five_times(seen: dict[str, Any]) -> bool:
    """A host is shown as throttled before the attempt that caused it is stored: wait for both."""
    attempts = sum(hour["attempts"] for hour in seen["hours"])
    return attempts >= 5 and any(host["held"] for host in seen["hosts"])


async def statuses(client: httpx.AsyncClient, **query: str) -> dict[str, int]:
    hours = (await read(client, **query))["hours"]
    return dict(sum((Counter(hour["jobs"]) for hour in hours), Counter()))


async def read(client: httpx.AsyncClient, **query: str) -> dict[str, Any]:
    answer = await client.get("/v1/statistics", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())
