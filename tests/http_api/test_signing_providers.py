"""Jobs at providers that sign: verified callbacks count at once, everything else is a claim."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.http_api.signed_job import (
    CREATE,
    FAL,
    REPLICATE,
    SEED,
    create_signed_job,
    success_body,
)
from tests.providers.conformance.subjects import KEY, sign_replicate
from tests.providers.faulty_server import faulty_server, stay_silent
from tests.providers.path_server import PathServer
from tests.support.service import (
    RunningService,
    eventually,
    history_of,
    job_of,
    metric,
    running_service,
    submit,
    wait_for_length,
)


@pytest.mark.parametrize("order", [REPLICATE, FAL], ids=["replicate", "fal"])
async def test_a_verified_outcome_needs_no_status_call(
    signing_service: RunningService, upstream: PathServer, order: dict[str, Any]
) -> None:
    signed_job = await create_signed_job(signing_service, upstream, order)
    labels = f'provider="{signed_job.provider}",verdict="accepted",verified="true"'
    before = await metric(signing_service, f"receiver_callbacks_total{{{labels}}}")
    assert (await signed_job.call_back(success_body(signed_job))).status_code == 200
    job = await signed_job.wait_for(status="COMPLETED", evidence="callback")
    (line,) = await signed_job.wait_for_verdicts("applied")
    assert (line["verified"], line["confirmed"]) == (True, None)
    assert signed_job.status_calls() == 0
    assert await metric(signing_service, f"receiver_callbacks_total{{{labels}}}") == before + 1
    assert job["result"] == (
        {"output": "https://a.example/1.png"}
        if signed_job.provider == "replicate"
        else {"images": [{"url": "https://a.example/1.png"}], "seed": SEED}
    )
    answer = await signed_job.client.get(f"{signed_job.path}/result")
    assert (answer.status_code, answer.headers["location"]) == (302, "https://a.example/1.png")


@pytest.mark.parametrize("order", [REPLICATE, FAL], ids=["replicate", "fal"])
async def test_the_order_of_the_checks(
    signing_service: RunningService, upstream: PathServer, order: dict[str, Any]
) -> None:
    signed_job = await create_signed_job(signing_service, upstream, order)
    huge = b" " * (signing_service.inner.context.settings.max_body_bytes + 1)
    bad = "bad_signature"
    signature = "x-fal-webhook-signature" if signed_job.provider == "fal" else "webhook-signature"
    stamp = signature.replace("signature", "timestamp")
    cases: list[tuple[Any, int, str, dict[str, Any]]] = [
        (b"{}", 401, bad, {"signed": False}),
        (b"{}", 401, bad, {signature: "garbage"}),
        (b"{}", 401, bad, {stamp: "soon"}),
        (huge, 401, bad, {"signed": False}),
        (huge, 401, bad, {stamp: "soon"}),
        (huge, 413, "body_too_large", {}),
        (b"[", 400, "invalid_json", {}),
        (b"[", 401, bad, {"signed": False}),
        ({"id": "another", "request_id": "another", "status": "OK"}, 409, "id_conflict", {}),
    ]
    for body, status, code, named in cases:
        answer = await signed_job.call_back(body, **named)
        assert (answer.status_code, answer.json()["code"]) == (status, code), named
    stored = await signed_job.callbacks()
    assert [line["verdict"] for line in stored] == ["rejected", "conflict"]
    signed_job.callback_url = signed_job.callback_url[:-1]
    assert (await signed_job.call_back(b"{}", signed=False)).json()["code"] == "bad_token"


@pytest.mark.parametrize("order", [REPLICATE, FAL], ids=["replicate", "fal"])
async def test_a_stale_signature_makes_a_claim(
    signing_service: RunningService, upstream: PathServer, order: dict[str, Any]
) -> None:
    signed_job = await create_signed_job(signing_service, upstream, order)
    path = signed_job.status_path
    if signed_job.provider == "fal":
        upstream.answers[path] = (200, {"status": "COMPLETED"})
        upstream.answers[path.removesuffix("/status")] = (200, {"images": []})
    else:
        upstream.answers[path] = (200, success_body(signed_job, "https://b.example"))
    assert (await signed_job.call_back(success_body(signed_job), ago=400)).status_code == 200
    job = await signed_job.wait_for(status="COMPLETED")
    (line,) = await signed_job.wait_for_verdicts("confirmed")
    assert (line["verified"], line["confirmed"]) == (False, True)
    assert signed_job.status_calls() == 1
    assert job["result"] in ({"images": []}, {"output": "https://b.example"}), "the call counts"


# --- cancelling -----------------------------------------------------------------------------------


async def passed_on(client: httpx.AsyncClient, request_id: str) -> dict[str, Any]:
    """Wait until the history has a line about the cancel, and return it."""
    lines = await eventually(lambda: history_of(client, request_id, "provider_cancel"), bool)
    (line,) = lines
    return line


@pytest.mark.parametrize(
    ("order", "status", "outcome"),
    [(REPLICATE, 200, "accepted"), (FAL, 202, "accepted"), (FAL, 400, "refused")],
)
async def test_a_cancel_is_passed_on_once(
    signing_service: RunningService,
    upstream: PathServer,
    order: dict[str, Any],
    status: int,
    outcome: str,
) -> None:
    signed_job = await create_signed_job(signing_service, upstream, order)
    path = signed_job.status_path.removeprefix("GET ").removesuffix("/status") + "/cancel"
    call = f"PUT {path}" if signed_job.provider == "fal" else f"POST {path}"
    upstream.answers[call] = (status, {})
    answer = await signed_job.client.post(f"{signed_job.path}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (202, "CANCELLED")
    line = await passed_on(signed_job.client, signed_job.request_id)
    assert (line["outcome"], line["status_code"]) == (outcome, status)
    ended = {"id": signed_job.name, "request_id": signed_job.name, "status": "canceled"}
    await signed_job.call_back(
        ended if signed_job.provider == "replicate" else ended | {"status": "ERROR"}
    )
    await signed_job.wait_for_verdicts("late")
    assert upstream.asked(call) == [call]
    assert (await signed_job.document())["error"]["code"] == "canceled_by_user"


@pytest.mark.parametrize("by", ["answer", "callback"])
async def test_a_cancel_before_the_id_is_known_is_passed_on_once_it_is(
    signing_service: RunningService, upstream: PathServer, by: str
) -> None:
    """The submission's answer brings the id, or it is lost and a callback does."""
    name = f"late-{by}"
    upstream.answers[CREATE] = (201, {"id": name, "status": "starting"})
    upstream.answers[f"POST /v1/predictions/{name}/cancel"] = (200, {})
    answered = upstream.held[CREATE] = asyncio.Event()
    client, before = await signing_service.user(), len(upstream.calls)
    request_id = (await submit(client, **REPLICATE))["request_id"]
    await wait_for_length(upstream.calls, before + 1, "the submission")
    assert (await client.post(f"/v1/jobs/{request_id}/cancel")).status_code == 202
    if by == "callback":
        upstream.answers[CREATE] = (500, {})
    answered.set()
    if by == "callback":
        url = httpx.URL(upstream.call(CREATE).json["webhook"]).path
        body = b'{"id":"%b","status":"processing"}' % name.encode()
        signed = sign_replicate(body, int(time.time()))
        assert (await client.post(url, content=body, headers=signed)).status_code == 200
    assert (await passed_on(client, request_id))["outcome"] == "accepted"
    del upstream.held[CREATE]
    assert len(upstream.asked(f"POST /v1/predictions/{name}/cancel")) == 1
    assert (await job_of(client, request_id))["error"]["code"] == "canceled_by_user"


# --- what runs ------------------------------------------------------------------------------------


async def test_jobs_are_checked_by_their_provider(signing_service: RunningService) -> None:
    client = await signing_service.user()
    for order, pointers in (
        (REPLICATE | {"kind": FAL["kind"]}, ["/kind"]),
        (REPLICATE | {"kind": "o/" + "n" * 200}, ["/kind"]),
        (FAL | {"kind": "flux"}, ["/kind"]),
        ({"kind": "owner/name"}, ["/input"]),
    ):
        answer = await client.post("/v1/jobs", json=order)
        assert answer.status_code == 400, order
        assert [fault["pointer"] for fault in answer.json()["errors"]] == pointers, order


async def test_a_provider_that_hangs_delays_no_start(tmp_path: Path) -> None:
    """It is asked for its secret at the start, in the background."""
    began = time.monotonic()
    async with (
        faulty_server(stay_silent) as silent,
        running_service(
            tmp_path,
            provider="replicate",
            replicate_api_token=KEY,
            replicate_base_url=silent.url,
        ) as service,
    ):
        assert (await service.client().get("/readyz")).status_code == 200
        assert time.monotonic() - began < 5.0
        await eventually(lambda: asyncio.sleep(0, silent.connections), bool)
