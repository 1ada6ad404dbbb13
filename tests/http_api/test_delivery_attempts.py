"""When a webhook is attempted, how often, and what each answer means."""

import time

import httpx
from starlette.responses import Response

from tests.http_api.conftest import Start
from tests.http_api.relay_sink import Message, Sink, always
from tests.http_api.scripted_provider import FAILED, ScriptedProvider
from tests.http_api.webhook_job import RELAY, SECRET, WebhookJobs
from tests.support.service import eventually, listed, submit, wait_for_job


async def test_what_fails_is_tried_by_the_schedule_and_then_exhausted(
    webhook_jobs: WebhookJobs, sink: Sink
) -> None:
    for status_code in (500, 302, 199):  # tests/domain/test_relay.py has the rule
        sink.messages.clear()
        sink.answer = always(status_code, Location="/elsewhere")
        job = await webhook_jobs.create()
        await job.apply(FAILED)
        (delivery,) = await job.wait_for_states("exhausted")
        assert len(delivery["attempts"]) == 3, status_code
        assert delivery["failing"] is False  # it has failed for good
        assert (delivery["next_attempt_at"], delivery["delivered_at"]) == (None, None)
        assert {message.id for message in sink.messages} == {delivery["id"]}
        assert {message.path for message in sink.messages} == {"/hook"}
        assert len({message.body for message in sink.messages}) == 1
        for message in sink.messages:
            message.verified(SECRET)


async def test_a_pending_message_with_a_failed_attempt_is_failing(
    start: Start, provider: ScriptedProvider, sink: Sink
) -> None:
    sink.answer = always(500)
    service = await start(**provider.settings() | RELAY | {"relay_schedule": "0,3600"})
    job = await WebhookJobs(service, provider, sink).create()
    assert await listed(job.client, "deliveries", failing="true") == []
    await job.apply(FAILED)
    (failing,) = await eventually(
        lambda: listed(job.client, "deliveries", failing="true"), bool, "a failed attempt"
    )
    assert (failing["state"], failing["failing"], failing["type"]) == (
        "pending",
        True,
        "job.failed",
    )
    assert failing["host"] == f"127.0.0.1:{httpx.URL(sink.url).port}"
    assert await listed(job.client, "deliveries", failing="true", host="other.example") == []
    for bad in ("failing=false", "failing=true&state=exhausted"):
        assert (await job.client.get(f"/v1/deliveries?{bad}")).status_code == 400, bad


async def test_the_first_gap_of_the_schedule_and_retry_after_are_kept(
    start: Start, provider: ScriptedProvider, sink: Sink
) -> None:
    async def busy_once(_: Message) -> Response:
        if len(sink.messages) == 1:
            return Response(status_code=503, headers={"Retry-After": "1"})
        return Response(status_code=204)

    sink.answer = busy_once
    service = await start(**provider.settings() | RELAY | {"relay_schedule": "0.5,0.05,0.05"})
    job = await WebhookJobs(service, provider, sink).create()
    began = time.monotonic()
    await job.apply(FAILED)
    (delivery,) = await job.wait_for_states("delivered")
    assert time.monotonic() - began > 1.4
    assert [each["status_code"] for each in delivery["attempts"]] == [503, 204]


async def test_after_the_clock_was_set_back_a_job_is_not_delayed(start: Start, sink: Sink) -> None:
    service = await start(relay_allow_http=True, relay_allow_nets="127.0.0.0/8")
    client = await service.user()
    before = await submit(client)
    await wait_for_job(client, before["request_id"], status="COMPLETED")

    service.clock.ahead_ms = -3_600_000
    after = await submit(client, webhookUrl=sink.url, webhookEvents=["COMPLETED"])
    done = await wait_for_job(client, after["request_id"], status="COMPLETED")

    assert after["request_id"] > before["request_id"]
    assert done["created_at"] < before["created_at"]
    await sink.arrived(1)
