"""Who may ask, and for what (contract 3)."""

import asyncio
import re

from receiver.clock import SystemClock
from tests.http_api.conftest import Start
from tests.http_api.scripted_provider import ScriptedProvider, call_back
from tests.service import JOB, RunningService, eventually, job_when, submit


async def test_no_key_is_400(service: RunningService) -> None:
    for headers in (
        {},
        {"API-KEY": ""},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YTpi"},
    ):
        answer = await service.client().get("/v1/jobs", headers=headers)
        assert answer.status_code == 400, headers
        assert answer.json()["code"] == "api_key_missing"


async def test_an_unknown_key_is_401(service: RunningService) -> None:
    for key in ("rk_" + "x" * 43, "x", "é", "0" * 5_000):
        headers = {b"API-KEY": key.encode("latin-1")}
        answer = await service.client().get("/v1/jobs", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), key


async def test_a_key_is_taken_in_either_header_whatever_the_case(service: RunningService) -> None:
    key = await service.key()
    for headers in (
        {"API-KEY": key},
        {"api-key": key},
        {"Authorization": f"Bearer {key}"},
        {"authorization": f"bearer {key}"},
    ):
        assert (await service.client().get("/v1/jobs", headers=headers)).status_code == 200


async def test_every_route_of_v1_asks_for_a_key(service: RunningService) -> None:
    client = service.client()
    for method, path in (
        ("POST", "/v1/video/create_movie"),
        ("POST", "/v1/video/create_narrative"),
        ("GET", "/v1/video/status"),
        ("POST", "/v1/jobs"),
        ("GET", "/v1/jobs"),
        ("GET", "/v1/jobs/job_x"),
        ("GET", "/v1/jobs/job_x/history"),
        ("GET", "/v1/jobs/job_x/result"),
        ("POST", "/v1/jobs/job_x/cancel"),
        ("GET", "/v1/jobs/job_x/events"),
        ("GET", "/v1/events"),
        ("POST", "/v1/stream-tickets"),
        ("GET", "/v1/deliveries"),
        ("POST", "/v1/deliveries/msg_x/retry"),
    ):
        assert (await client.request(method, path)).status_code == 400, path
        refused = await client.request(method, path, headers={"API-KEY": "rk_no"})
        assert refused.status_code == 401, path


async def test_several_keys_of_one_user_see_the_same(service: RunningService) -> None:
    one, other = await service.user("ada"), await service.user("ada")
    job = await submit(one)
    assert (await other.get(job["links"]["self"])).status_code == 200


async def test_a_job_of_another_user_is_not_there(
    service: RunningService, provider: ScriptedProvider
) -> None:
    ada, bob = await service.user("ada"), await service.user("bob")
    job = await submit(ada)
    job = await job_when(ada, job["request_id"], phase="accepted")
    path = job["links"]["self"]
    for method, other in (
        ("GET", path),
        ("GET", f"{path}/history"),
        ("GET", f"{path}/result"),
        ("GET", f"{path}/events"),
        ("POST", f"{path}/cancel"),
        ("GET", f"/v1/video/status?request_id={job['request_id']}"),
        ("GET", f"/v1/video/status?request_id={job['provider_request_id']}"),
    ):
        answer = await bob.request(method, other)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), other
    wanted = {"request_id": job["request_id"]}
    assert (await bob.post("/v1/stream-tickets", json=wanted)).status_code == 404
    assert (await bob.get("/v1/jobs")).json()["jobs"] == []


async def test_an_admin_reads_what_is_anyones_and_changes_nothing(
    service: RunningService, provider: ScriptedProvider
) -> None:
    ada, root = await service.user("ada"), await service.user("root", admin=True)
    job = await submit(ada)
    job = await job_when(ada, job["request_id"], phase="accepted")
    path = job["links"]["self"]

    assert (await root.get(path)).json() == job
    assert (await root.get(f"{path}/history")).status_code == 200
    assert (await root.get(f"{path}/result")).status_code == 409
    async with root.stream("GET", f"{path}/events") as stream:
        assert stream.status_code == 200
    listed = await root.get("/v1/jobs?user=ada")
    assert [each["request_id"] for each in listed.json()["jobs"]] == [job["request_id"]]
    async with root.stream("GET", "/v1/events?user=ada") as stream:
        assert stream.status_code == 200
    assert (await root.get("/v1/deliveries?user=ada")).json()["deliveries"] == []

    cancel = await root.post(f"{path}/cancel")
    assert cancel.status_code == 403
    assert (await root.get(path)).json()["status"] == "PENDING"

    # Without a name it is its own user's, and so is what it submits.
    assert (await root.get("/v1/jobs")).json()["jobs"] == []
    own = await submit(root)
    assert own["user"] == "root"
    assert (await root.get("/v1/jobs?user=nobody")).status_code == 404


async def test_only_an_admin_names_a_user(service: RunningService) -> None:
    ada = await service.user("ada")
    await service.user("bob")
    for path in ("/v1/jobs", "/v1/events", "/v1/deliveries"):
        for user in ("ada", "bob", "nobody"):
            answer = await ada.get(path, params={"user": user})
            assert (answer.status_code, answer.json()["code"]) == (403, "admin_only")


async def test_an_admin_retries_a_delivery_of_anyone(
    start: Start, provider: ScriptedProvider
) -> None:
    service = await start(
        **provider.settings(),
        confirm_callbacks=False,
        relay_allow_nets="127.0.0.0/8",
        relay_allow_http=True,
        relay_schedule="0",
    )
    ada, bob = await service.user("ada"), await service.user("bob")
    root = await service.user("root", admin=True)
    job = await submit(ada, webhookUrl="http://127.0.0.1:9/")  # nobody listens there
    sent = await provider.submitted()
    await call_back(sent.webhook_url, {"status": "FAILED", "message": "no"})

    async def states() -> list[tuple[str, str]]:
        listed = (await root.get("/v1/deliveries?user=ada")).json()["deliveries"]
        return [(each["id"], each["state"]) for each in listed]

    seen = await eventually(states, lambda seen: [s for _, s in seen] == ["exhausted"])
    path = f"/v1/deliveries/{seen[0][0]}/retry"
    assert (await bob.post(path)).status_code == 404
    again = await root.post(path)
    assert (again.status_code, again.json()["request_id"]) == (202, job["request_id"])


async def test_a_revoked_key_stops_within_five_seconds(service: RunningService) -> None:
    key = await service.key()
    kept = await service.user("ada")
    client = service.client(key)
    assert (await client.get("/v1/jobs")).status_code == 200
    await service.store.keys.revoke(key[:11], SystemClock().now())

    async def status() -> int:
        return (await client.get("/v1/jobs")).status_code

    async with asyncio.timeout(5):
        await eventually(status, lambda seen: seen == 401)
    assert (await kept.get("/v1/jobs")).status_code == 200


async def test_a_new_key_works_though_it_was_asked_for_before(service: RunningService) -> None:
    """Nobody can lock a key out by guessing it first; and keys are shown as they are made."""
    key = await service.key()
    assert re.fullmatch(r"rk_[A-Za-z0-9_-]{43}", key)
    assert (await service.client(key).get("/v1/jobs")).status_code == 200


async def test_the_rate_is_counted_by_key_and_spares_cheap_reads(
    start: Start, provider: ScriptedProvider
) -> None:
    service = await start(**provider.settings() | {"rate_limit": "3/hour"})
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
