"""The provider's own API, served by us: a client changes only its base URL and its key."""

import asyncio
import time
from typing import Any

import httpx

from tests.http_api.conftest import Start
from tests.http_api.scripted_provider import (
    API_KEY,
    COMPLETED,
    ScriptedProvider,
    answering,
    call_back,
    never,
)
from tests.support.service import MOVIE, RunningService, job_of, wait_for_job

# --- submissions ----------------------------------------------------------------------------------


async def test_a_movie_is_submitted_as_its_user_wrote_it(
    service: RunningService, client: httpx.AsyncClient, provider: ScriptedProvider
) -> None:
    extra = {"aspect_ratio": "16:9", "seed": 10**20, "nested": {"a": [1.5, None, "\u2028é"]}}
    body = {
        "input": MOVIE | extra,
        "webhookUrl": "https://example.com/hook?x=1",
        "webhookEvents": ["COMPLETED"],
        "metadata": {"order": "7"},
        "unknown": "member",
    }
    answer = await client.post("/v1/video/create_movie", json=body)
    assert answer.status_code == 200
    request_id = answer.json()["request_id"]
    assert answer.json() == {"request_id": request_id}

    (sent,) = provider.submissions
    assert sent.kind == "create_movie"
    assert sent.headers["api-key"] == API_KEY
    assert sent.body == {"input": MOVIE | extra, "webhookUrl": sent.webhook_url}
    assert sent.webhook_url.startswith(f"{service.url}/webhooks/samsar/")
    job = await job_of(client, request_id)
    assert (job["metadata"], job["provider_request_id"]) == ({"order": "7"}, "up-1")


async def test_a_misspelt_member_is_warned_about(
    client: httpx.AsyncClient, provider: ScriptedProvider
) -> None:
    body = {"input": MOVIE, "webhoookUrl": "https://example.com/", "colour": 1, "web\nhookUrl": 1}
    answer = await client.post("/v1/video/create_movie", json=body)
    assert answer.status_code == 200
    warning = "unknown member webhoookUrl; did you mean webhookUrl?"
    assert answer.headers["X-Receiver-Warning"] == warning
    plain = await client.post("/v1/video/create_movie", json={"input": MOVIE, "colour": 1})
    assert "X-Receiver-Warning" not in plain.headers


async def test_our_own_route_says_what_is_valid_in_detail_too(client: httpx.AsyncClient) -> None:
    body = {"kind": "create_movie", "input": MOVIE | {"image_model": "NOPE"}}
    ours, theirs = [
        (await client.post(path, json=body)).json()["detail"]
        for path in ("/v1/jobs", "/v1/video/create_movie")
    ]
    assert ours.startswith("Invalid image model: it must be one of FLUX1.1PRO, ")
    assert theirs == "Invalid image model"


async def test_the_routes_are_there_where_samsar_runs(
    start: Start, provider: ScriptedProvider
) -> None:
    """It need not be the default provider."""
    others = provider.settings() | {"provider": "sandbox-replicate"}
    without, beside = [
        await (await start(**others, providers=more)).user() for more in ("sandbox-fal", "samsar")
    ]
    for path in ("create_movie", "create_narrative", "status", "status?request_id=x"):
        for method in ("GET", "POST"):
            for key in ({}, {"API-KEY": ""}):
                url = f"/v1/video/{path}"
                answer = await without.request(method, url, json={}, headers=key)
                assert (answer.status_code, answer.json()["code"]) == (404, "unknown_path")
    described = (await without.get("/openapi.json")).json()["paths"]
    assert [path for path in described if path.startswith("/v1/video")] == []
    taken = await beside.post("/v1/video/create_movie", json={"input": MOVIE})
    assert (await job_of(beside, taken.json()["request_id"]))["provider"] == "samsar"


# --- answers --------------------------------------------------------------------------------------


async def test_a_refusal_passes_through_and_that_of_the_operators_key_is_502(
    client: httpx.AsyncClient, provider: ScriptedProvider
) -> None:
    for status_code, ours, code in (
        *((each, each, "provider_refused") for each in (400, 402, 404, 499)),
        *((each, 502, "provider_credentials") for each in (401, 403)),
    ):
        provider.submit = answering(status_code, {"message": "Insufficient credits"})
        answer = await client.post("/v1/video/create_movie", json={"input": MOVIE})
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (ours, code)
        assert problem["message"] == "Insufficient credits"
        job = await job_of(client, problem["request_id"])
        assert (job["status"], job["error"]["code"]) == ("FAILED", code)


async def test_a_hung_provider_is_waited_for_no_longer_than_submit_wait(
    start: Start, provider: ScriptedProvider
) -> None:
    service = await start(**provider.settings(), submit_wait=0.3)
    provider.submit = never
    client = await service.user()
    began = time.monotonic()
    answer = await client.post("/v1/video/create_movie", json={"input": MOVIE})
    assert 0.25 < time.monotonic() - began < 8  # by default it would be ten
    assert answer.status_code == 200
    job = await job_of(client, answer.json()["request_id"])
    assert (job["phase"], job["evidence"]) == ("submitting", None)


async def test_a_submission_that_is_cancelled_meanwhile_is_answered(
    client: httpx.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.submit = never
    waiting = asyncio.create_task(client.post("/v1/video/create_movie", json={"input": MOVIE}))
    await provider.submitted()
    request_id = (await client.get("/v1/jobs")).json()["jobs"][0]["request_id"]
    assert (await client.post(f"/v1/jobs/{request_id}/cancel")).status_code == 202
    answer = await waiting
    assert (answer.status_code, answer.json()) == (200, {"request_id": request_id})


# --- status ---------------------------------------------------------------------------------------


async def test_a_status_is_read_from_the_store_by_either_id(
    start: Start, provider: ScriptedProvider
) -> None:
    service = await start(**provider.settings(), confirm_callbacks=False)
    client = await service.user()
    taken = (await client.post("/v1/video/create_movie", json={"input": MOVIE})).json()
    request_id = taken["request_id"]

    async def status(given: str) -> Any:
        answer = await client.get("/v1/video/status", params={"request_id": given})
        assert answer.status_code == 200
        return answer.json()

    assert await status(request_id) == {"request_id": request_id, "status": "PENDING"}
    address = provider.submissions[0].webhook_url
    await call_back(address, {"status": "IN_PROGRESS", "progress": 41.5, "message": "Painting"})
    await wait_for_job(client, request_id, status="IN_PROGRESS")
    expected = {
        "request_id": request_id,
        "status": "IN_PROGRESS",
        "progress": 41.5,
        "message": "Painting",
    }
    assert await status(request_id) == await status("up-1") == expected

    await call_back(address, COMPLETED)
    await wait_for_job(client, request_id, done=True)
    assert await status("up-1") == {
        "request_id": request_id,
        "status": "COMPLETED",
        "progress": 100,
        "result": COMPLETED["result"],
    }
    assert provider.status_calls == []


async def test_a_status_without_an_id_or_with_an_unknown_one(
    shared_client: httpx.AsyncClient,
) -> None:
    for path in ("/v1/video/status", "/v1/video/status?request_id=", "/v1/video/status?taskId=1"):
        answer = await shared_client.get(path)
        assert answer.status_code == 400
        assert answer.json()["message"] == "taskId query parameter is missing."
    for unknown in ("job_0", "up-9", "x" * 5_000, "\x00", "%", "é"):
        answer = await shared_client.get("/v1/video/status", params={"request_id": unknown})
        assert (answer.status_code, answer.json()["message"]) == (404, "Request not found.")
