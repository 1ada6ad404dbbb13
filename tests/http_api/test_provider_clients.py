"""The APIs of Replicate and fal, served by us: what their own clients send and read."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.http_api.relay_sink import Sink, relay_sink
from tests.support.service import (
    RunningService,
    eventually,
    history_of,
    make_key,
    running_service,
    wait_for_job,
)

SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
PREDICTIONS = "/replicate/v1/predictions"
MODEL = "/replicate/v1/models/owner/name/predictions"
ENDPOINT = "/fal/fal-ai/flux/dev"
INPUT = {"prompt": "A heron", "seed": 17454220438242315174}
VERSION = "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    """A service in front of both sandboxes, for all tests of this file."""
    async with running_service(
        tmp_path_factory.mktemp("clients"),
        provider="sandbox-replicate",
        providers="sandbox-fal",
        sandbox_render=0.3,
        poll_first=60,
        relay_allow_nets="127.0.0.0/8",
        relay_allow_http=True,
    ) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="module")
async def client(service: RunningService, request: pytest.FixtureRequest) -> httpx.AsyncClient:
    """A user of that service, for this test alone."""
    return await service.user(request.node.name)


@pytest_asyncio.fixture(loop_scope="module")
async def sink() -> AsyncIterator[Sink]:
    async with relay_sink() as sink:
        yield sink


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def created(client: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    answer = await client.post(path, json={"input": INPUT, **body})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def ended(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    async def read() -> dict[str, Any]:
        found: dict[str, Any] = (await client.get(url)).json()
        return found

    done = ("succeeded", "failed", "canceled", "COMPLETED")
    return await eventually(read, lambda found: found["status"] in done)


# --- Replicate ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "model", "version"),
    [
        (PREDICTIONS, {"version": VERSION}, "hidden", VERSION),
        (PREDICTIONS, {"version": "owner/name"}, "owner/name", "hidden"),
        (PREDICTIONS, {"version": f"owner/name:{VERSION}"}, "owner/name", VERSION),
        (MODEL, {"stream": True}, "owner/name", "hidden"),
        ("/replicate/v1/deployments/owner/name/predictions", {}, "hidden", "hidden"),
    ],
)
async def test_a_prediction_runs_to_its_end(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], model: str, version: str
) -> None:
    first = await created(client, path, **body)

    base = f"{client.base_url}/replicate/v1/predictions/{first['id']}"
    assert first | {"created_at": ""} == {
        "id": first["id"],
        "model": model,
        "version": version,
        "input": INPUT,
        "output": None,
        "logs": "",
        "error": None,
        "status": "starting",
        "source": "api",
        "data_removed": False,
        "metrics": {},
        "created_at": "",
        "started_at": None,
        "completed_at": None,
        "urls": {"get": base, "cancel": f"{base}/cancel"},
    }
    last = await ended(client, first["urls"]["get"])
    assert last["status"] == "succeeded"
    assert last["output"][0].endswith(".webm")
    assert last["input"] == INPUT
    assert last["completed_at"] > first["created_at"]
    (line, *_) = await history_of(client, first["id"], "event")
    assert line["source"] == "replicate"


@pytest.mark.parametrize("repeats", [False, True])
async def test_a_preferred_wait_ends_with_the_job(client: httpx.AsyncClient, repeats: bool) -> None:
    headers = {"Prefer": "wait", "Idempotency-Key": "one"}

    async def post(**more: str) -> httpx.Response:
        return await client.post(MODEL, json={"input": INPUT}, headers=headers | more)

    first, *others = await asyncio.gather(*(post() for _ in range(3 if repeats else 1)))

    assert first.status_code == 201
    assert first.headers["preference-applied"] == "wait=55"
    assert first.json()["status"] == "succeeded"
    for other in others:  # they join the first one
        assert other.json() == first.json()
    assert sum("idempotency-replayed" in each.headers for each in (first, *others)) == len(others)
    assert len((await client.get(PREDICTIONS)).json()["results"]) == 1


async def test_a_wait_that_is_too_short_says_starting(client: httpx.AsyncClient) -> None:
    answer = await client.post(MODEL, json={"input": INPUT}, headers={"Prefer": "wait=0.2"})

    assert (answer.status_code, answer.json()["status"]) == (202, "starting")
    assert answer.headers["preference-applied"] == "wait=0.2"


async def test_predictions_are_listed_in_pages(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.http_api.replicate_api.PAGE", 2)
    ids = [(await created(client, MODEL))["id"] for _ in range(3)]
    await client.post(ENDPOINT, json=INPUT)

    page = (await client.get(PREDICTIONS)).json()
    rest = (await client.get(page["next"])).json()

    assert [each["id"] for each in page["results"] + rest["results"]] == ids[::-1]
    assert (page["previous"], rest["next"]) == (None, None)
    assert page["results"][0]["input"] == INPUT


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"input": {}, "lifetime": "5m"}, "lifetime"),
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": {}, "webhook": 1}, "webhook"),
        ({"input": {}, "webhook": "https://10.0.0.1/"}, "webhook"),
        ({"input": {}, "webhook_events_filter": ["begin"]}, "webhook_events_filter"),
        ({"input": {}, "webhook_events_filter": "start"}, "webhook_events_filter"),
    ],
)
async def test_a_refusal_is_in_the_providers_words(
    client: httpx.AsyncClient, body: dict[str, Any], word: str
) -> None:
    answer = await client.post(MODEL, json=body)

    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (422, 422)
    assert problem["title"] == "Input validation failed"
    assert word in problem["detail"]
    assert (await client.get(PREDICTIONS)).json()["results"] == []


@pytest.mark.parametrize("version", ["nothing", "a/b/c", 5, None, "x/" + "y" * 300])
async def test_a_version_that_cannot_be_is_refused(client: httpx.AsyncClient, version: Any) -> None:
    answer = await client.post(PREDICTIONS, json={"version": version, "input": {}})

    assert answer.status_code == 422
    assert "version" in answer.json()["errors"][0]["pointer"]


async def test_a_prediction_is_cancelled_and_stays_so(client: httpx.AsyncClient) -> None:
    prediction = await created(client, MODEL)

    for _ in range(2):
        answer = await client.post(prediction["urls"]["cancel"])
        assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
        assert answer.json()["error"] == "Canceled by its user."


async def test_a_webhook_is_the_prediction(service: RunningService, sink: Sink) -> None:
    client = service.client(await make_key(service.store, "hooks", secret=SECRET))
    ended_only = await created(client, MODEL, webhook=sink.url)
    await ended(client, ended_only["urls"]["get"])
    events = ["start", "output", "logs", "completed"]
    prediction = await created(client, MODEL, webhook=sink.url, webhook_events_filter=events)
    *first, second, third = await sink.arrived(3)

    assert [message.verified(SECRET)["status"] for message in first] == ["succeeded"]
    start, completed = second.verified(SECRET), third.verified(SECRET)
    assert (start["status"], start["output"], start["input"]) == ("processing", None, INPUT)
    shown = (await client.get(prediction["urls"]["get"])).json()
    assert completed == shown
    assert shown["webhook_events_filter"] == ["start", "completed"]
    delivery = (await client.get(f"/v1/deliveries/{third.id}")).json()
    assert delivery["body"] == completed
    secret = (await client.get("/replicate/v1/webhooks/default/secret")).json()
    assert secret == {"key": SECRET}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "account"),
        ("POST", "files"),
        ("GET", "files/1"),
        ("POST", "trainings"),
        ("GET", "collections/x"),
        ("GET", "models"),
        ("GET", "models/owner/name"),
        ("PATCH", "deployments/owner/name"),
        ("GET", "hardware"),
    ],
)
async def test_what_is_not_served_says_where_to_go(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await client.request(method, f"/replicate/v1/{path}")

    assert (answer.status_code, answer.json()["code"]) == (501, "not_served")
    assert answer.headers["x-should-retry"] == "false"


async def test_a_version_is_described_even_if_the_provider_cannot(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get(f"/replicate/v1/models/owner/name/versions/{VERSION}")

    found = answer.json()
    assert (answer.status_code, found["id"]) == (200, VERSION)
    assert (found["cog_version"], found["openapi_schema"]) == ("", {})


# --- fal ------------------------------------------------------------------------------------------


async def test_a_request_runs_to_its_end(client: httpx.AsyncClient) -> None:
    answer = await client.post(ENDPOINT, json=INPUT)
    request = answer.json()

    base = f"{client.base_url}/fal/fal-ai/flux/requests/{request['request_id']}"
    assert answer.headers["x-fal-request-id"] == request["request_id"]
    assert request == {
        "status": "IN_QUEUE",
        "request_id": request["request_id"],
        "response_url": base,
        "status_url": f"{base}/status",
        "cancel_url": f"{base}/cancel",
        "queue_position": 0,
    }
    early = await client.get(base)
    assert (early.status_code, early.json()["detail"]) == (400, "Request is still in progress")
    first = await client.get(f"{base}/status", params={"logs": "1"})
    assert (first.status_code, first.json()["logs"]) == (202, [])
    await ended(client, f"{base}/status")
    whole = await client.get(f"/fal/fal-ai/flux/dev/requests/{request['request_id']}")
    assert whole.headers["x-fal-request-id"] == request["request_id"]
    assert whole.json()["seed"] == INPUT["seed"]
    (line, *_) = await history_of(client, request["request_id"], "event")
    assert line["source"] == "fal"


async def test_a_stream_of_statuses_ends_with_the_request(client: httpx.AsyncClient) -> None:
    request = (await client.post("/fal/workflows/me/mine", content=b"")).json()
    assert "/fal/workflows/me/mine/requests/" in request["status_url"]

    stream = await client.get(f"{request['status_url']}/stream")

    assert stream.headers["content-type"].startswith("text/event-stream")
    said = [json.loads(line[6:]) for line in stream.text.splitlines() if line[:6] == "data: "]
    words = [each["status"] for each in said]
    assert words == sorted(set(words), key=["IN_QUEUE", "IN_PROGRESS", "COMPLETED"].index)
    assert words[-1] == "COMPLETED"


async def test_a_low_priority_lets_others_go_first(
    tmp_path: Path,
) -> None:
    limits: dict[str, Any] = {"jobs_in_flight": "sandbox-fal=1", "sandbox_render": 60}
    async with running_service(tmp_path, provider="sandbox-fal", **limits) as service:
        client = await service.user()

        async def post(**headers: str) -> dict[str, Any]:
            answer = await client.post(ENDPOINT, json=INPUT, headers=headers)
            found: dict[str, Any] = answer.json()
            return found

        first, low = await post(), await post(**{"X-Fal-Queue-Priority": "low"})
        await wait_for_job(client, first["request_id"], phase="accepted")
        await post(**{"X-Fal-Queue-Priority": "normal"})
        status = (await client.get(low["status_url"])).json()

    assert (status["status"], status["queue_position"]) == ("IN_QUEUE", 1)


async def test_a_cancelled_request(client: httpx.AsyncClient) -> None:
    request = (await client.post(ENDPOINT, json=INPUT)).json()
    answers = [await client.put(request["cancel_url"]) for _ in range(2)]
    assert [(each.status_code, each.json()["status"]) for each in answers] == [
        (202, "CANCELLATION_REQUESTED"),
        (400, "ALREADY_COMPLETED"),
    ]
    status = await client.get(request["status_url"])
    assert (status.status_code, status.json()["status"]) == (200, "COMPLETED")
    assert status.json()["error"]
    assert (await client.get(request["response_url"])).status_code == 499


async def test_fals_webhook_has_the_result(service: RunningService, sink: Sink) -> None:
    client = await service.user("fal hooks")
    request = (await client.post(ENDPOINT, json=INPUT, params={"fal_webhook": sink.url})).json()
    (message,) = await sink.arrived(1)

    assert json.loads(message.body) == {
        "request_id": request["request_id"],
        "gateway_request_id": request["request_id"],
        "status": "OK",
        "error": None,
        "payload": (await client.get(request["response_url"])).json(),
    }


@pytest.mark.parametrize(
    ("method", "path", "status_code", "word"),
    [
        ("PUT", "/fal/fal-ai/flux/requests/none/cancel", 404, "NOT_FOUND"),
        ("GET", "/fal/fal-ai/flux/requests/none/status", 404, "NOT_FOUND"),
        ("GET", "/fal/fal-ai/flux", 405, 405),
        ("POST", "/fal/x", 422, 422),
        ("POST", f"{ENDPOINT}?fal_webhook=nowhere", 422, 422),
    ],
)
async def test_fals_errors_are_plain_json(
    client: httpx.AsyncClient, method: str, path: str, status_code: int, word: Any
) -> None:
    answer = await client.request(method, path)

    assert (answer.status_code, answer.json()["status"]) == (status_code, word)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["detail"]


# --- both -----------------------------------------------------------------------------------------


async def test_the_schemes_of_their_clients_carry_our_key(service: RunningService) -> None:
    key = await service.key("schemes")
    for scheme in ("Bearer", "Token", "Key"):
        client = service.client(Authorization=f"{scheme} {key}")
        assert (await client.get(PREDICTIONS)).status_code == 200


async def test_a_job_of_the_other_provider_or_of_another_user_is_not_found(
    client: httpx.AsyncClient, service: RunningService
) -> None:
    prediction = (await created(client, MODEL))["id"]
    request = (await client.post(ENDPOINT, json=INPUT)).json()["request_id"]
    other = await service.user("another")
    of_fal = [("GET", ""), ("GET", "/status"), ("GET", "/status/stream"), ("PUT", "/cancel")]
    addresses = [
        *((method, "/fal/a/b/requests/{}" + rest, request, prediction) for method, rest in of_fal),
        ("GET", PREDICTIONS + "/{}", prediction, request),
        ("POST", PREDICTIONS + "/{}/cancel", prediction, request),
    ]

    for method, path, own, of_the_other_provider in addresses:
        assert (await client.request(method, path.format(of_the_other_provider))).status_code == 404
        foreign = await other.request(method, path.format(own))
        unknown = await other.request(method, path.format("job_" + "0" * 26))
        assert (foreign.status_code, foreign.json()) == (404, unknown.json())


async def test_a_job_made_by_our_own_api_is_served_too(client: httpx.AsyncClient) -> None:
    order = {"provider": "sandbox-replicate", "kind": "owner/name", "input": INPUT}
    made = (await client.post("/v1/jobs", json=order)).json()

    assert (await client.get(f"{PREDICTIONS}/{made['request_id']}")).json()["input"] == INPUT


@pytest.mark.parametrize(
    ("headers", "origin"),
    [
        ({"Host": "api.example"}, "http://api.example"),
        ({"Host": "api.example", "X-Forwarded-Proto": "https"}, "https://api.example"),
        ({"Host": "api.example:99", "X-Forwarded-Proto": "gopher"}, "http://api.example:99"),
        ({"Host": "[::1]:80"}, "http://[::1]:80"),
    ],
)
async def test_addresses_are_those_that_the_client_used(
    client: httpx.AsyncClient, headers: dict[str, str], origin: str
) -> None:
    answer = await client.post(MODEL, json={"input": INPUT}, headers=headers)

    assert answer.json()["urls"]["get"].startswith(f"{origin}/replicate/v1/predictions/")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", PREDICTIONS), ("POST", ENDPOINT), ("GET", PREDICTIONS)]
)
async def test_without_its_provider_an_api_is_absent(
    shared_client: httpx.AsyncClient, method: str, path: str
) -> None:
    assert (await shared_client.request(method, path)).status_code == 404
