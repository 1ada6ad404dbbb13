"""Callbacks: the table of answers, row by row, and what becomes of a claim."""

import json
from pathlib import Path

import httpx
import structlog
from structlog.testing import capture_logs

from receiver.large_bodies import MAX_VALUES
from tests.http_api.accepted_job import AcceptedJob, create_accepted_job
from tests.http_api.conftest import Start
from tests.http_api.raw_http import raw_connection, request_bytes
from tests.http_api.scripted_provider import (
    COMPLETED,
    FAILED,
    ScriptedProvider,
    call_back,
)
from tests.support.documented import assert_problem
from tests.support.service import RunningService, running_service

RUNNING = {"status": "IN_PROGRESS", "progress": 30}


# --- the table ------------------------------------------------------------------------------------


async def test_a_bad_token_is_401_before_the_body_is_read(
    service: RunningService, job: AcceptedJob
) -> None:
    path = httpx.URL(job.callback_url).path
    async with raw_connection(service.url) as connection:
        refusal = await connection.ask(request_bytes("POST", path[:-1], Content_Length="999999999"))
        assert (refusal.status_code, refusal.json()["code"]) == (401, "bad_token")
    for wrong in (
        *(path.replace("/samsar/", f"/{other}/") for other in ("sandbox", "other")),
        *(path + more for more in ("x", "=", "%C3%A9")),
        *(f"/webhooks/samsar/{token}" for token in ("x", job.request_id, "x" * 5_000)),
    ):
        answer = await job.client.post(wrong, json=COMPLETED)
        assert answer.status_code == 401, wrong
    assert (await job.document())["phase"] == "accepted"
    assert await job.callbacks() == []


async def test_a_callback_of_a_provider_that_is_not_configured_any_more_is_sent_again(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    async with running_service(tmp_path, **provider.settings()) as service:
        job = await create_accepted_job(service, provider)
    path = httpx.URL(job.callback_url).path
    async with running_service(tmp_path, provider="sandbox") as service:
        refusal = await service.client().post(path, json=COMPLETED)
        assert_problem(refusal, 503, "provider_not_configured")
    async with running_service(tmp_path, **provider.settings()) as service:
        assert (await service.client().post(path, json=COMPLETED)).status_code == 200


async def test_a_job_that_is_gone_is_410(service: RunningService, job: AcceptedJob) -> None:
    await job.client.post(f"/v1/jobs/{job.request_id}/cancel")
    assert (await service.store.retention.remove(2**60, 10)).jobs == 1
    for body in (COMPLETED, b"[", b""):
        await job.send(body, 410)
    structlog.reset_defaults()  # the other tests keep the log quiet
    with capture_logs() as lines:
        answer = await call_back(job.callback_url, RUNNING)
    assert (answer.json()["code"], answer.json()["request_id"]) == ("job_gone", job.request_id)
    assert [line["job"] for line in lines if line["log_level"] == "info" and "job" in line] == [
        job.request_id
    ]
    paths = [line["path"] for line in lines if line["event"] == "request"]
    assert paths == ["/webhooks/samsar/…"]


async def test_a_body_over_the_limit_is_413_and_polls(
    start: Start, provider: ScriptedProvider
) -> None:
    service = await start(**provider.settings(), max_body_bytes=1_000)
    job = await create_accepted_job(service, provider)
    provider.states["up-1"] = COMPLETED
    await job.send(json.dumps(FAILED).encode().ljust(1_001), 413)
    finished = await job.wait_for(done=True)
    assert (finished["status"], finished["evidence"]) == ("COMPLETED", "poll")
    assert await job.callbacks() == []


NO_OBJECTS = [
    *(b"", b"{", b"[]", b"null", b'"COMPLETED"', b"status=COMPLETED", b"\x00\xff"),
    *(b'{"status": NaN}', b'{"progress": 1e309}', b'{"a":' * 100 + b"1" + b"}" * 100),
    b'{"status":"COMPLETED","x":[%b]}' % b",".join([b"0"] * (MAX_VALUES - 1)),
]


async def test_a_body_that_is_no_object_is_kept_as_rejected_and_polls(
    provider: ScriptedProvider, job: AcceptedJob
) -> None:
    for number, body in enumerate(NO_OBJECTS, start=1):
        await job.send(body, 400)
        await provider.asked(number)
        await job.send(body, 400)
    lines = await job.wait_for_verdicts(*["rejected"] * len(NO_OBJECTS))
    assert [line["bytes"] for line in lines] == [len(body) for body in NO_OBJECTS]
    assert len(provider.status_calls) == len(NO_OBJECTS)


async def test_another_id_is_a_conflict_and_polls(
    provider: ScriptedProvider, job: AcceptedJob
) -> None:
    body = COMPLETED | {"request_id": "up-999"}
    await job.send(body, 409)
    await provider.asked()
    await job.send(body, 409)
    await job.wait_for_verdicts("conflict")
    assert (await job.document())["status"] == "PENDING"
    await job.send(RUNNING | {"request_id": "up-1"})
    await job.send(RUNNING | {"session_id": "up-1", "request_id": None})
    await job.wait_for_verdicts("conflict", "applied", "applied")


async def test_a_forged_claim_is_denied_and_a_true_one_confirmed(
    provider: ScriptedProvider, job: AcceptedJob
) -> None:
    await job.send(FAILED)
    (line,) = await job.wait_for_verdicts("denied")
    assert line["evidence"] == "poll"
    seen = await job.document()
    assert (seen["status"], seen["phase"], seen["error"]) == ("PENDING", "accepted", None)
    provider.states["up-1"] = COMPLETED
    await job.send(COMPLETED)
    assert (await job.wait_for(done=True))["evidence"] == "callback"
    (_, line) = await job.wait_for_verdicts("denied", "confirmed")
    assert line["confirmed"] is True
    # The next scheduled poll is a minute away (POLL_MIN), so these calls are the confirmations.
    assert provider.status_calls == ["up-1", "up-1"]


async def test_the_same_body_again_is_a_duplicate(trusting_job: AcceptedJob) -> None:
    job = trusting_job
    await job.send(RUNNING)
    before = await job.wait_for(phase="rendering")
    await job.send(RUNNING, receipt="duplicate")
    await job.send(RUNNING | {"x": 1})
    await job.wait_for_verdicts("applied", "applied")
    assert await job.document() == before
