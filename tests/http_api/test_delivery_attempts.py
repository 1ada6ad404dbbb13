"""When a webhook is attempted, how often, and what each answer means."""

import httpx

from tests.http_api.conftest import Start
from tests.http_api.relay_sink import Sink, always
from tests.http_api.scripted_provider import FAILED, ScriptedProvider
from tests.http_api.webhook_job import RELAY, WebhookJobs
from tests.support.service import eventually, listed, submit, wait_for_job


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
