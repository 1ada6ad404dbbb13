"""The webhooks that we send to a user's `webhookUrl`, and how the user can see them."""

import time

from receiver.clock import SystemClock
from tests.http_api.relay_sink import Sink, always
from tests.http_api.scripted_provider import COMPLETED, FAILED
from tests.http_api.webhook_job import SECRET, WebhookJob, WebhookJobs
from tests.support.service import history_of

# --- what is sent ---------------------------------------------------------------------------------


async def test_webhooks_are_signed_and_in_order(webhook_jobs: WebhookJobs, sink: Sink) -> None:
    job = await webhook_jobs.create(sink.url + "?x=1", metadata={"order": "7"})
    await job.apply({"status": "IN_PROGRESS", "progress": 10})
    await sink.arrived(1)
    await job.apply({"status": "IN_PROGRESS", "progress": 20})
    await job.apply(COMPLETED)
    await job.wait_for_states("delivered", "delivered")
    began, ended = sink.messages
    assert began.headers["content-type"] == "application/json"
    # tests/domain/test_serialization.py has all members.
    of_the_job = {"request_id": job.request_id, "metadata": {"order": "7"}}
    for message, expected in (
        (began, {"type": "job.in_progress", "progress": 10, "seq": 4}),
        (ended, {"type": "job.completed", "seq": 6, "result": COMPLETED["result"]}),
    ):
        assert (of_the_job | expected).items() <= message.verified(SECRET).items()
    assert began.id != ended.id
    assert abs(int(began.headers["webhook-timestamp"]) - time.time()) < 10
    first, last = await job.deliveries()
    assert (first["id"], first["status"], first["seq"]) == (began.id, "IN_PROGRESS", 4)
    assert (last["id"], last["next_attempt_at"]) == (ended.id, None)
    assert last["delivered_at"] >= last["created_at"]
    (attempt,) = last["attempts"]
    assert (attempt["status_code"], attempt["error"]) == (200, None)
    assert attempt["duration_ms"] >= 0
    relayed = await history_of(job.client, job.request_id, "relay")
    assert [line["status_code"] for line in relayed] == [200, 200]


async def test_an_update_that_is_overtaken_is_skipped_and_a_final_state_never(
    webhook_jobs: WebhookJobs, sink: Sink
) -> None:
    release = sink.hold()
    job = await webhook_jobs.create(webhookEvents=["IN_PROGRESS", "progress", "COMPLETED"])
    for progress in (10, 20, 30, 40):
        await job.apply({"status": "IN_PROGRESS", "progress": progress})
        await sink.arrived(1)
    await job.apply(COMPLETED)
    assert len(sink.messages) == 1  # one in flight for each job
    waiting = (await job.deliveries())[-1]
    retried = await job.client.post(f"/v1/deliveries/{waiting['id']}/retry")
    assert (retried.status_code, retried.json()["state"]) == (202, "pending")
    assert len(sink.messages) == 1  # it keeps its place
    release.set()
    _, skipped, *_ = await job.wait_for_states(
        "delivered", "skipped", "skipped", "skipped", "delivered"
    )
    # A skipped update can still be retried, out of order.
    assert (await job.client.post(f"/v1/deliveries/{skipped['id']}/retry")).status_code == 202
    await job.wait_for_states("delivered", "delivered", "skipped", "skipped", "delivered")
    assert [m.verified(SECRET).get("progress") for m in sink.messages] == [10, 100, 20]


async def test_both_secrets_sign_after_a_rotation(
    webhook_jobs: WebhookJobs, webhook_job: WebhookJob, sink: Sink
) -> None:
    new = "whsec_" + "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldw=="
    await webhook_jobs.service.store.keys.rotate_secret(
        "ada", new, SystemClock().now() + 86_400_000
    )
    await webhook_job.apply(COMPLETED)
    (message,) = await sink.arrived(1)
    assert message.verified(SECRET) == message.verified(new)
    # Conversely, an old secret that has expired no longer signs.
    newest = "whsec_" + "bmV3ZXN0LW5ld2VzdC1uZXdlc3QtbmV3ZXN0LW5ldw=="
    await webhook_jobs.service.store.keys.rotate_secret("ada", newest, SystemClock().now() - 1)
    other = await webhook_jobs.create()
    await other.apply(COMPLETED)
    message = (await sink.arrived(2))[1]
    message.verified(newest)
    assert message.headers["webhook-signature"].count("v1,") == 1


# --- asking for it again --------------------------------------------------------------------------


async def test_what_was_delivered_or_exhausted_is_sent_again_on_request(
    webhook_job: WebhookJob, sink: Sink
) -> None:
    await webhook_job.apply(FAILED)
    (delivery,) = await webhook_job.wait_for_states("delivered")
    path = f"/v1/deliveries/{delivery['id']}/retry"

    answer = await webhook_job.client.post(path)
    assert (answer.status_code, answer.json()["state"]) == (202, "pending")
    await sink.arrived(2)
    (again,) = await webhook_job.wait_for_states("delivered")
    assert (again["id"], len(again["attempts"])) == (delivery["id"], 2)

    sink.answer = always(500)
    assert (await webhook_job.client.post(path)).status_code == 202
    (exhausted,) = await webhook_job.wait_for_states("exhausted")
    assert len(exhausted["attempts"]) == 5  # one attempt at once, and then the schedule again
    sink.answer = None
    assert (await webhook_job.client.post(path)).status_code == 202
    await webhook_job.wait_for_states("delivered")
    assert len({message.body for message in sink.messages}) == 1
