"""`GET /v1/statistics`; tests/store/conformance/test_store_statistics.py has what is counted."""

from collections import Counter
from typing import Any

import httpx

from receiver.domain.schedule import HOUR
from receiver.http_api.statistics import HOURS
from tests.http_api.conftest import Start
from tests.http_api.webhook_job import RELAY
from tests.support.service import eventually, submit, wait_for_job


async def test_the_last_day_of_a_user_and_of_everybody(start: Start) -> None:
    service = await start(**RELAY | {"relay_schedule": "0,0.01"})
    ada, bob = await service.user("ada"), await service.user("bob")
    root = await service.user("root", admin=True)
    job = await submit(ada, webhookUrl="http://127.0.0.1:9/hook")
    await wait_for_job(ada, job["request_id"], status="COMPLETED")
    await bob.post((await submit(bob))["links"]["cancel"])

    seen = await eventually(
        lambda: read(ada), lambda seen: any(hour["attempts"] for hour in seen["hours"])
    )
    assert len({hour["at"] for hour in seen["hours"]}) == HOURS
    (ended,) = [hour for hour in seen["hours"] if hour["jobs"]]
    assert (ended["jobs"], ended["known"]) == ({"COMPLETED": 1}, {"callback": 1})
    assert sum(hour["delivered"] for hour in seen["hours"]) == 0
    assert seen["p95_ms"] == seen["median_ms"] == ended["p95_ms"] >= 300
    assert seen["complete"] is True

    assert await statuses(root) == {}
    assert await statuses(root, user="*") == {"COMPLETED": 1, "CANCELLED": 1}
    assert await statuses(root, user="bob") == {"CANCELLED": 1}
    assert (await ada.get("/v1/statistics?since=1")).status_code == 400

    service.clock.ahead_ms = HOURS * HOUR
    assert await statuses(root, user="*") == {}
    service.clock.ahead_ms = -2 * HOUR  # as after a clock that was ahead has been corrected
    assert await statuses(root, user="*") == {}


async def statuses(client: httpx.AsyncClient, **query: str) -> dict[str, int]:
    hours = (await read(client, **query))["hours"]
    return dict(sum((Counter(hour["jobs"]) for hour in hours), Counter()))


async def read(client: httpx.AsyncClient, **query: str) -> dict[str, Any]:
    answer = await client.get("/v1/statistics", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())
