"""The API of Replicate, served by us: what its own clients send and read."""

import asyncio
from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.http_api.provider_clients.calls import (
    ENDPOINT,
    INPUT,
    MODEL,
    PREDICTIONS,
    created,
    ended,
)
from tests.http_api.relay_sink import Sink
from tests.support.service import (
    RunningService,
    history_of,
    make_key,
)

SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
VERSION = "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa"
pytestmark = pytest.mark.asyncio(loop_scope="module")


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
    monkeypatch.setattr("receiver.providers.replicate.routes.PAGE", 2)
    ids = [(await created(client, MODEL))["id"] for _ in range(3)]
    await client.post(ENDPOINT, json=INPUT)

    page = (await client.get(PREDICTIONS)).json()
    rest = (await client.get(page["next"])).json()

    assert [each["id"] for each in page["results"] + rest["results"]] == ids[::-1]
    assert (page["previous"], rest["next"]) == (None, None)
    assert (await client.get(rest["previous"])).json() == page
    ids += [(await created(client, MODEL))["id"] for _ in range(2)]
    walked = (await client.get(page["next"])).json()
    for newest in (3, 5):  # two more came meanwhile
        walked = (await client.get(walked["previous"])).json()
        assert [each["id"] for each in walked["results"]] == ids[newest - 2 : newest][::-1]
    assert walked["previous"] is None
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
    assert problem["errors"][0]["pointer"] == f"/{word}"
    assert (answer.status_code, problem["status"]) == (422, 422)
    assert problem["title"] == "Input validation failed"
    assert word in problem["detail"]
    assert (await client.get(PREDICTIONS)).json()["results"] == []


@pytest.mark.parametrize("version", ["nothing", "a/b/c", 5, None, "x/" + "y" * 300])
async def test_a_version_that_cannot_be_is_refused(client: httpx.AsyncClient, version: Any) -> None:
    answer = await client.post(PREDICTIONS, json={"version": version, "input": {}})

    (fault,) = answer.json()["errors"]
    assert (answer.status_code, fault["pointer"]) == (422, "/version")
    assert fault["detail"].startswith("version ")


async def test_a_prediction_is_cancelled_and_stays_so(client: httpx.AsyncClient) -> None:
    prediction = await created(client, MODEL)

    for _ in range(2):
        answer = await client.post(prediction["urls"]["cancel"])
        assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
        assert answer.json()["error"] == "Cancelled by its user."


async def test_a_webhook_is_the_prediction(service: RunningService, sink: Sink) -> None:
    client = service.client(await make_key(service.store, "hooks", secret=SECRET))
    ended_only = await created(client, MODEL, webhook=sink.url)
    await ended(client, ended_only["urls"]["get"])
    events = ["output", "start", "logs", "completed"]
    prediction = await created(client, MODEL, webhook=sink.url, webhook_events_filter=events)
    *first, second, third = await sink.arrived(3)

    assert [message.verified(SECRET)["status"] for message in first] == ["succeeded"]
    start, completed = second.verified(SECRET), third.verified(SECRET)
    assert (start["status"], start["output"], start["input"]) == ("processing", None, INPUT)
    shown = (await client.get(prediction["urls"]["get"])).json()
    assert completed == shown
    # The sandbox gives no time of its own: it is that of the change.
    changes = await history_of(client, prediction["id"], "event")
    began = next(line["at"] for line in changes if line["job"]["status"] == "IN_PROGRESS")
    for each in (start, completed):
        assert datetime.fromisoformat(each["started_at"]) == datetime.fromisoformat(began)
    assert shown["webhook_events_filter"] == start["webhook_events_filter"] == events
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
