"""The API of fal, served by us: what its own clients send and read."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver.providers.fal.simulator import FalApi
from tests.http_api.provider_clients.calls import ENDPOINT, INPUT, ended
from tests.http_api.relay_sink import Sink
from tests.support.service import RunningService, history_of, running_service, wait_for_job

pytestmark = pytest.mark.asyncio(loop_scope="module")


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

        first = await post()
        await wait_for_job(client, first["request_id"], phase="accepted")
        keyed = {"Idempotency-Key": "one", "X-Fal-Queue-Priority": "low"}
        low = await post(**keyed)
        normal = await post(**{"X-Fal-Queue-Priority": "normal"})
        lower = await post(**{"X-Fal-Queue-Priority": "low"})
        status = (await client.get(low["status_url"])).json()
        replayed = await post(**keyed)

    assert (status["status"], status["queue_position"]) == ("IN_QUEUE", 1)
    answers = (first, low, normal, lower)
    assert [each["queue_position"] for each in answers] == [0, 0, 0, 2]
    assert replayed == low


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


@pytest.mark.parametrize("output", [[1, {"a": None}], "text", {"output": [1]}])
@pytest.mark.parametrize("drop", [0, 1])
async def test_a_result_comes_as_it_is(
    tmp_path: Path, sink: Sink, monkeypatch: pytest.MonkeyPatch, drop: int, output: Any
) -> None:
    """Also one that is no object, however it was learned."""
    monkeypatch.setattr(FalApi, "output", lambda *_: output)
    given: dict[str, Any] = {"sandbox_drop_callbacks": drop, "sandbox_render": 0.1}
    given |= {"poll_first": 0.2, "poll_min": 0.1} if drop else {"poll_first": 60}
    given |= {"relay_allow_nets": "127.0.0.0/8", "relay_allow_http": True}
    async with running_service(tmp_path, provider="sandbox-fal", **given) as service:
        client, hook = await service.user(), {"fal_webhook": sink.url}
        request = (await client.post(ENDPOINT, json=INPUT, params=hook)).json()
        job = await wait_for_job(client, request["request_id"], done=True)
        shown = (await client.get(request["response_url"])).json()
        (message,) = await sink.arrived(1)

    assert job["result"] == (output if isinstance(output, dict) else {"output": output})
    assert (shown, json.loads(message.body)["payload"]) == (output, output)


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


async def test_a_stream_over_the_limit_of_a_key_is_refused(tmp_path: Path) -> None:
    limits: dict[str, Any] = {"stream_max_per_key": 1, "sandbox_render": 60}
    async with running_service(tmp_path, provider="sandbox-fal", **limits) as service:
        client = await service.user()
        address = (await client.post(ENDPOINT, json=INPUT)).json()["status_url"] + "/stream"
        async with client.stream("GET", address) as first:
            refused = await client.get(address)
            head = await client.head(address)

    assert (first.status_code, head.status_code) == (200, 200)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
