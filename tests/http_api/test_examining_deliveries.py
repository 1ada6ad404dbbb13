"""Finding a failed webhook, inspecting it, retrying many, and testing a URL."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock

import httpx
import pytest

from store.errors import StoreBusy
from tests.http_api.conftest import Start
from tests.http_api.relay_sink import Sink, always
from tests.http_api.scripted_provider import COMPLETED, FAILED, ScriptedProvider
from tests.http_api.webhook_job import RELAY, SECRET, WebhookJob, WebhookJobs
from tests.support.documented import assert_problem
from tests.support.service import RunningService, eventually, listed


async def exhausted(webhook_jobs: WebhookJobs, url: str | None = None) -> WebhookJob:
    job = await webhook_jobs.create(url)
    await job.apply(FAILED)
    await job.wait_for_states("exhausted")
    return job


async def test_a_list_is_narrowed_and_paged(webhook_jobs: WebhookJobs, sink: Sink) -> None:
    jobs = [await webhook_jobs.create() for _ in range(3)]
    for job in jobs[:2]:
        await job.apply(COMPLETED)
        await job.wait_for_states("delivered")
    sink.answer = always(410)
    await jobs[2].apply(FAILED)
    await jobs[2].wait_for_states("disabled")
    jobs.append(await exhausted(webhook_jobs, "http://127.0.0.1:9/"))
    newest_first = [job.request_id for job in reversed(jobs)]
    client = jobs[0].client
    for query, expected in (
        ({}, newest_first),
        ({"state": "delivered"}, newest_first[2:]),
        ({"state": "disabled"}, newest_first[1:2]),
        ({"state": "pending"}, []),
        ({"request_id": newest_first[3]}, newest_first[3:]),
        ({"request_id": "job_other"}, []),
        ({"host": "127.0.0.1"}, newest_first),
        ({"host": f"127.0.0.1:{httpx.URL(sink.url).port}"}, newest_first[1:]),
        ({"host": "127.0.0.1:9", "state": "exhausted"}, newest_first[:1]),
        ({"host": "[::1]:9"}, []),
    ):
        found = await listed(client, "deliveries", **query)
        assert [each["request_id"] for each in found] == expected, query

    page = (await client.get("/v1/deliveries?limit=3")).json()
    rest = (await client.get(f"/v1/deliveries?cursor={page['next_cursor']}")).json()
    assert page["deliveries"] + rest["deliveries"] == await listed(client, "deliveries")
    assert (len(page["deliveries"]), rest["next_cursor"]) == (3, None)

    root = await webhook_jobs.service.user("root", admin=True)
    assert await listed(root, "deliveries") == []
    assert await listed(root, "deliveries", user="*") == await listed(client, "deliveries")
    # Pages of everybody's deliveries have cursors of their own.
    cursor = (await root.get("/v1/deliveries?user=*&limit=3")).json()["next_cursor"]
    everybodys = await listed(root, "deliveries", user="*", cursor=cursor)
    assert everybodys == rest["deliveries"]
    assert (await root.get("/v1/deliveries", params={"cursor": cursor})).status_code == 400
    for bad in (
        *("state=done", "limit=0", "cursor=x", "status=FAILED", "host=", "host=a%00b"),
        *("request_id=%E2%98%83", "failing=false", "failing=true&state=exhausted"),
    ):
        answer = await client.get(f"/v1/deliveries?{bad}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_query"), bad


async def test_a_failing_message_is_shown_with_what_was_answered(
    start: Start, provider: ScriptedProvider, sink: Sink
) -> None:
    said = "No such h\N{LATIN SMALL LETTER O WITH DIAERESIS}ok. " * 40
    sink.answer = always(404, said)
    service = await start(**provider.settings() | RELAY | {"relay_schedule": "0,3600"})
    job = await WebhookJobs(service, provider, sink).create()
    assert await listed(job.client, "deliveries", failing="true") == []
    await job.apply(FAILED)
    (delivery,) = await eventually(
        lambda: listed(job.client, "deliveries", failing="true"), bool, "a failed attempt"
    )
    assert await listed(job.client, "deliveries", failing="true", host="other.example") == []
    assert (delivery["state"], delivery["failing"], delivery["user"]) == ("pending", True, "ada")
    assert delivery["host"] == f"127.0.0.1:{httpx.URL(sink.url).port}"
    assert [each["excerpt"] for each in delivery["attempts"]] == [said[:200]]

    shown = (await job.client.get(f"/v1/deliveries/{delivery['id']}")).json()

    (message,) = sink.messages
    assert shown == delivery | {
        "url": sink.url,
        "body": json.loads(message.body),
        "headers": {
            name: message.headers[name]
            for name in ("content-type", "user-agent", "webhook-id", "webhook-timestamp")
        },
    }
    assert shown["body"]["type"] == shown["type"] == "job.failed"
    assert (await job.client.get("/v1/deliveries/msg_x")).status_code == 404


async def test_all_that_match_are_sent_again(webhook_jobs: WebhookJobs, sink: Sink) -> None:
    sink.answer = always(500)
    jobs = [await exhausted(webhook_jobs) for _ in range(2)]
    other = await exhausted(webhook_jobs, "http://127.0.0.1:9/")
    sink.answer = None
    ada, service = jobs[0].client, webhook_jobs.service
    bob, root = await service.user("bob"), await service.user("root", admin=True)

    async def retried(client: httpx.AsyncClient, query: str = "", **body: str) -> int:
        answer = await client.post(f"/v1/deliveries/retry{query}", json=body)
        assert answer.status_code == 202, answer.text
        count: int = answer.json()["retried"]
        return count

    assert await retried(ada, state="disabled") == 0
    assert await retried(ada, state="exhausted", host="elsewhere.example") == 0
    assert await retried(bob, state="exhausted") == 0
    refused = await bob.post("/v1/deliveries/retry?user=*", json={"state": "exhausted"})
    assert refused.status_code == 403
    assert await retried(ada, state="exhausted", request_id=jobs[0].request_id) == 1
    await jobs[0].wait_for_states("delivered")
    here = f"127.0.0.1:{httpx.URL(sink.url).port}"
    assert await retried(root, "?user=ada", state="exhausted", host=here) == 1
    await jobs[1].wait_for_states("delivered")
    await other.wait_for_states("exhausted")
    assert await retried(root, "?user=*", state="exhausted") == 1


@pytest.mark.parametrize("of", ["one", "many"])
async def test_a_retry_does_not_wait_for_the_end_of_its_hosts_pause(
    start: Start, provider: ScriptedProvider, sink: Sink, of: str
) -> None:
    service = await start(**provider.settings() | RELAY | {"relay_schedule": "0,3600"})
    webhook_jobs = WebhookJobs(service, provider, sink)
    jobs = [await webhook_jobs.create("http://127.0.0.1:9/") for _ in range(10)]
    for job in jobs:
        await job.apply(FAILED)
    root = await service.user("root", admin=True)

    async def is_paused() -> bool:
        return "receiver_relay_host_breakers_open 1.0" in (await root.get("/metrics")).text

    await eventually(is_paused, bool, "the pause")

    async def attempts() -> int:
        found = await listed(root, "deliveries", user="ada")
        return sum(len(each["attempts"]) for each in found)

    before = await attempts()
    (waiting,) = await jobs[-1].deliveries()
    assert waiting["attempts"] == []
    assert waiting["paused"] is True
    due = datetime.fromisoformat(waiting["next_attempt_at"])
    assert timedelta(0) < due - datetime.now(UTC) <= timedelta(minutes=1)
    assert not any(each["paused"] for each in await listed(root, "deliveries", state="exhausted"))
    if of == "one":
        await root.post(f"/v1/deliveries/{waiting['id']}/retry")
    else:
        await root.post("/v1/deliveries/retry?user=ada", json={"state": "pending"})
    await eventually(attempts, lambda count: count > before, "the probe")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/state"),
        ({"state": "delivered"}, "/state"),
        ({"state": ["exhausted"]}, "/state"),
        ({"state": "exhausted", "hots": "a.example"}, "/hots"),
        ({"state": "exhausted", "host": None}, "/host"),
        ({"state": "exhausted", "request_id": 7}, "/request_id"),
    ],
)
async def test_a_retry_of_many_with_a_typo_is_refused(
    shared_service: RunningService, body: dict[str, Any], pointer: str
) -> None:
    answer = await (await shared_service.user()).post("/v1/deliveries/retry", json=body)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, pointer)


# --- a test message -------------------------------------------------------------------------------


async def test_an_address_is_tried_with_a_signed_message(
    webhook_jobs: WebhookJobs, sink: Sink
) -> None:
    sink.answer = always(201, "welcome")
    client = (await webhook_jobs.create()).client

    answer = await client.post("/v1/webhook-tests", json={"url": sink.url})

    (message,) = sink.messages
    assert message.verified(SECRET)["type"] == "test"
    result = answer.json()
    assert result.pop("duration_ms") >= 0
    assert (answer.status_code, result) == (
        200,
        {"webhook_id": message.id, "status_code": 201, "error": None, "excerpt": "welcome"},
    )
    assert await listed(client, "deliveries") == [], "a test is not a delivery"


async def test_a_literal_address_is_refused_and_a_name_gets_an_answer(
    shared_client: httpx.AsyncClient,
) -> None:
    for url in ("http://10.0.0.1/", "https://[fe80::1]/", "ftp://a.example/", 7, None):
        answer = await shared_client.post("/v1/webhook-tests", json={"url": url})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/url")
    for name, error in (("localhost", "refused_target"), ("gone.invalid", "no_address")):
        answer = await shared_client.post("/v1/webhook-tests", json={"url": f"https://{name}/"})
        assert (answer.status_code, answer.json()["status_code"]) == (200, None)
        assert answer.json()["error"].startswith(error)


@pytest.mark.parametrize(
    ("retried", "detail"),
    [
        ([], "Storage is unavailable; nothing was saved. Please retry."),
        ([3], "3 messages are due again, then storage failed. Repeat the request."),
    ],
)
async def test_storage_that_fails_on_the_way_does_not_deny_what_is_sent_again(
    shared_service: RunningService,
    monkeypatch: pytest.MonkeyPatch,
    retried: list[int],
    detail: str,
) -> None:
    client, deliveries = await shared_service.user(), shared_service.store.deliveries
    always_a_next_page = AsyncMock(return_value=([], "msg_x"))
    retry_those = AsyncMock(side_effect=[*retried, StoreBusy("a queue is full")])
    monkeypatch.setattr(deliveries, "list_page", always_a_next_page)
    monkeypatch.setattr(shared_service.store.outbox, "retry_those", retry_those)

    answer = await client.post("/v1/deliveries/retry", json={"state": "exhausted"})

    assert assert_problem(answer, 503, "storage_unavailable")["detail"] == detail
