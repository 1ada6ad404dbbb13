"""Who may call which route. Access to other users' data is tested in
tests/security/test_isolation.py."""

import pytest

from receiver.http_api.credentials import CALLBACK_TOKEN, PUBLIC
from receiver.http_api.routes import API
from tests.http_api.conftest import Start
from tests.support.service import JOB, RunningService, submit

KEYS = [
    *((header, 400) for header in ("X: ", "API-KEY: ", "Authorization: ", "Authorization: Bearer")),
    ("Authorization: Basic YTpi", 400),
    *((f"API-KEY: {key}", 401) for key in ("rk_" + "x" * 43, "x", "é", "0" * 5_000)),
    *((f"{name}: %s", 200) for name in ("API-KEY", "api-key")),
    *((f"{scheme} %s", 200) for scheme in ("Authorization: Bearer", "authorization: bearer")),
]
CODES = {200: None, 400: "api_key_missing", 401: "unauthorized"}


@pytest.mark.parametrize(("header", "status"), KEYS, ids=lambda value: str(value)[:30])
async def test_a_key_is_taken_in_either_header_whatever_the_case(
    shared_service: RunningService, header: str, status: int
) -> None:
    name, _, value = (
        header.replace("%s", await shared_service.key()).encode("latin-1").partition(b": ")
    )
    answer = await shared_service.client().get("/v1/jobs", headers={name: value})
    assert (answer.status_code, answer.json().get("code")) == (status, CODES[status])


async def test_every_route_asks_for_the_key_that_it_says(shared_service: RunningService) -> None:
    client = shared_service.client()
    routes = [row for row in API if row.credential not in (PUBLIC, CALLBACK_TOKEN)]
    assert {row.path for row in routes} >= {row.path for row in API if "/v1/" in row.path}
    for row in routes:
        assert (await client.request(row.method, row.path)).status_code == 400, row
        refused = await client.request(row.method, row.path, headers={"API-KEY": "rk_no"})
        assert refused.status_code == 401, row


async def test_the_rate_is_counted_by_key_and_spares_cheap_reads(start: Start) -> None:
    service = await start(rate_limit="3/hour")
    ada, again = await service.user("ada"), await service.user("ada")
    job = await submit(ada)
    assert (await ada.get("/v1/jobs")).status_code == 200
    assert (await ada.get("/v1/jobs")).status_code == 200
    refused = await ada.post("/v1/jobs", json=JOB)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert int(refused.headers["Retry-After"]) > 0
    for _ in range(5):
        assert (await ada.get(job["links"]["self"])).status_code == 200
        cheap = await ada.get("/v1/video/status", params={"request_id": job["request_id"]})
        assert cheap.status_code == 200
    assert (await again.get("/v1/jobs")).status_code == 200
    assert len((await again.get("/v1/jobs")).json()["jobs"]) == 1


async def test_no_cache_may_keep_what_only_one_key_may_read(
    shared_service: RunningService,
) -> None:
    admin = await shared_service.user("root", admin=True)
    for path in ("jobs", "jobs/job_x", "deliveries", "users", "statistics", "video/status", "no"):
        assert (await admin.get(f"/v1/{path}")).headers["Cache-Control"] == "no-store", path
