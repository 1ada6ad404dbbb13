"""The webhooks that we send to a user's `webhookUrl`, and how the user can see them."""

import time

from receiver.clock import SystemClock
from receiver.webhooks.signing import new_secret
from tests.http_api.relay_sink import Sink
from tests.http_api.scripted_provider import COMPLETED, FAILED
from tests.http_api.webhook_job import SECRET, WebhookJobs
from tests.support.service import history_of


async def test_webhooks_are_signed_and_in_order(webhook_jobs: WebhookJobs, sink: Sink) -> None:
    job = await webhook_jobs.create(sink.url + "?x=1", metadata={"order": "7"})
    await job.apply({"status": "IN_PROGRESS", "progress": 10})
    await sink.arrived(1)
    await job.apply({"status": "IN_PROGRESS", "progress": 20})
    new = new_secret(bytes(32))
    await webhook_jobs.service.store.keys.rotate_secret("ada", new, SystemClock().now() + 60_000)
    await job.apply(COMPLETED)
    await job.wait_for_states("delivered", "delivered")
    began, ended = sink.messages
    assert ended.verified(new) == ended.verified(SECRET), "both sign for a while"
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


async def test_what_was_delivered_is_sent_again_on_request(
    webhook_jobs: WebhookJobs, sink: Sink
) -> None:
    webhook_job = await webhook_jobs.create()
    await webhook_job.apply(FAILED)
    (delivery,) = await webhook_job.wait_for_states("delivered")
    answer = await webhook_job.client.post(f"/v1/deliveries/{delivery['id']}/retry")
    assert (answer.status_code, answer.json()["state"]) == (202, "pending")
    first, second = await sink.arrived(2)
    assert (first.id, first.body) == (second.id, second.body)
    (again,) = await webhook_job.wait_for_states("delivered")
    assert (again["id"], len(again["attempts"])) == (delivery["id"], 2)
