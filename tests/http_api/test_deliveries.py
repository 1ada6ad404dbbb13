"""What we send to a user's `webhookUrl`, and how that is seen."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import Any
from unittest.mock import ANY

import httpx
import pytest
from starlette.responses import Response

from receiver.clock import SystemClock
from receiver.webhooks import resolver
from tests.http_api.accepted_job import AcceptedJob, accepted, sent
from tests.http_api.conftest import Start
from tests.http_api.relay_sink import Message, Sink, always, relay_sink
from tests.http_api.scripted_provider import ScriptedProvider, answering
from tests.support.service import (
    RunningService,
    eventually,
    history_of,
    make_key,
)
from tests.support.tcp_server import tcp_server

COMPLETED = {"status": "COMPLETED", "result": {"videoUrl": "https://cdn.example/v.mp4"}}
FAILED = {"status": "FAILED", "message": "Out of memory"}
SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
RELAY: dict[str, Any] = {
    "confirm_callbacks": False,
    "relay_allow_nets": "127.0.0.0/8",
    "relay_allow_http": True,
    "relay_schedule": "0,0.05,0.05",
}


@pytest.fixture
async def sink(start: Start) -> AsyncIterator[Sink]:
    """It ends before the services do, and with it the messages that it has left unanswered."""
    async with relay_sink() as sink:
        yield sink


@pytest.fixture
async def service(provider: ScriptedProvider, start: Start) -> RunningService:
    return await start(**provider.settings(), **RELAY)


class Followed(AcceptedJob):
    """A job whose webhooks go to a sink."""

    async def apply(self, body: dict[str, Any]) -> None:
        """Send a callback; returns when it is applied."""
        before = len(await self.callbacks())
        await self.send(body)
        await eventually(
            self.callbacks,
            lambda lines: len(lines) > before and lines[-1]["verdict"] != "waiting",
        )

    async def deliveries(self) -> list[dict[str, Any]]:
        """Oldest first."""
        found = (await self.client.get("/v1/deliveries")).json()["deliveries"]
        return [each for each in found[::-1] if each["request_id"] == self.request_id]

    async def states(self, *expected: str) -> list[dict[str, Any]]:
        """The deliveries, once they have these states, oldest first."""
        return await eventually(
            self.deliveries,
            lambda found: [each["state"] for each in found] == list(expected),
            f"deliveries {expected}",
        )


async def follow(
    service: RunningService, provider: ScriptedProvider, url: str, **members: Any
) -> Followed:
    client = service.client(await make_key(service.store, "ada", secret=SECRET))
    job = await accepted(client, provider, webhookUrl=url, **members)
    return Followed(client, job.request_id, job.callback_url)


# --- what is sent ---------------------------------------------------------------------------------


async def test_webhooks_are_signed_and_in_order(
    service: RunningService, provider: ScriptedProvider, sink: Sink
) -> None:
    job = await follow(service, provider, sink.url + "?x=1", metadata={"order": "7"})
    await job.apply({"status": "IN_PROGRESS", "progress": 10})
    await sink.arrived(1)
    await job.apply({"status": "IN_PROGRESS", "progress": 20})
    await job.apply(COMPLETED)
    await job.states("delivered", "delivered")
    began, ended = sink.messages
    assert began.headers["content-type"] == "application/json"
    assert began.verified(SECRET) == {
        "type": "job.in_progress",
        "timestamp": ANY,
        "request_id": job.request_id,
        "status": "IN_PROGRESS",
        "progress": 10,
        "seq": 4,
        "kind": "create_movie",
        "metadata": {"order": "7"},
        "error": None,
    }
    assert ended.verified(SECRET) == {
        "type": "job.completed",
        "timestamp": ANY,
        "request_id": job.request_id,
        "status": "COMPLETED",
        "progress": 100,
        "result": COMPLETED["result"],
        "seq": 6,
        "kind": "create_movie",
        "metadata": {"order": "7"},
        "error": None,
    }
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


ASKED_FOR: list[tuple[list[str] | None, list[str]]] = [
    (None, ["IN_PROGRESS", "FAILED"]),
    ([], []),
    (["progress"], ["IN_PROGRESS", "IN_PROGRESS"]),
    (["FAILED", "COMPLETED", "FAILED"], ["FAILED"]),
    (["CANCELLED"], []),
    (
        ["IN_PROGRESS", "progress", "COMPLETED", "FAILED", "CANCELLED"],
        ["IN_PROGRESS", "IN_PROGRESS", "IN_PROGRESS", "FAILED"],
    ),
]


async def test_only_what_was_asked_for_is_sent(
    service: RunningService, provider: ScriptedProvider, sink: Sink
) -> None:
    for events, expected in ASKED_FOR:
        sink.messages.clear()
        job = await follow(service, provider, sink.url, webhookEvents=events)
        for progress in (10, 20, 30):
            await job.apply({"status": "IN_PROGRESS", "progress": progress})
            # So that nothing is overtaken.
            await sink.arrived(len(await job.deliveries()))
        await job.apply(FAILED)
        await job.states(*["delivered"] * len(expected))
        bodies = [message.verified(SECRET) for message in sink.messages]
        assert [body["status"] for body in bodies] == expected, events
        assert [body["seq"] for body in bodies] == sorted(body["seq"] for body in bodies)


async def test_a_cancel_sends_a_webhook_and_later_callbacks_do_not(
    service: RunningService, provider: ScriptedProvider, sink: Sink
) -> None:
    job = await follow(service, provider, sink.url)
    await job.cancel()
    await job.states("delivered")
    await job.apply(COMPLETED)
    assert [m.verified(SECRET)["status"] for m in sink.messages] == ["CANCELLED"]
    assert sink.messages[0].verified(SECRET)["error"]["code"] == "canceled_by_user"


async def test_a_correction_replaces_a_failure_that_was_not_delivered(
    start: Start, provider: ScriptedProvider, sink: Sink
) -> None:
    settings = provider.settings() | RELAY | {"relay_schedule": "0,60"}
    service = await start(**settings, unconfirmed_deadline=0.1)
    provider.submit = answering(500, {})
    client = service.client(await make_key(service.store, "ada", secret=SECRET))
    sink.answer = always(500)
    made = await sent(client, provider, webhookUrl=sink.url)
    job = Followed(client, made.request_id, made.callback_url)
    await job.when(done=True)
    await sink.arrived(1)
    await eventually(job.deliveries, lambda found: len(found[0]["attempts"]) == 1)
    sink.answer = None
    await job.apply(COMPLETED)
    await job.states("skipped", "delivered")
    statuses = [message.verified(SECRET)["status"] for message in sink.messages]
    assert statuses == ["FAILED", "COMPLETED"]


async def test_an_update_that_is_overtaken_is_skipped_and_a_final_state_never(
    service: RunningService, provider: ScriptedProvider, sink: Sink
) -> None:
    release = sink.hold()
    job = await follow(
        service, provider, sink.url, webhookEvents=["IN_PROGRESS", "progress", "COMPLETED"]
    )
    for progress in (10, 20, 30, 40):
        await job.apply({"status": "IN_PROGRESS", "progress": progress})
        await sink.arrived(1)
    await job.apply(COMPLETED)
    assert len(sink.messages) == 1  # one in flight a job
    release.set()
    await job.states("delivered", "skipped", "skipped", "skipped", "delivered")
    assert [m.verified(SECRET).get("progress") for m in sink.messages] == [10, 100]


async def test_both_secrets_sign_after_a_rotation(
    service: RunningService, provider: ScriptedProvider, sink: Sink
) -> None:
    job = await follow(service, provider, sink.url)
    new = "whsec_" + "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldw=="
    await service.store.keys.rotate_secret("ada", new, SystemClock().now() + 86_400_000)
    await job.apply(COMPLETED)
    (message,) = await sink.arrived(1)
    assert message.verified(SECRET) == message.verified(new)
    # The other way round: an old secret that is over signs no more.
    newest = "whsec_" + "bmV3ZXN0LW5ld2VzdC1uZXdlc3QtbmV3ZXN0LW5ldw=="
    await service.store.keys.rotate_secret("ada", newest, SystemClock().now() - 1)
    other = await follow(service, provider, sink.url)
    await other.apply(COMPLETED)
    message = (await sink.arrived(2))[1]
    message.verified(newest)
    assert message.headers["webhook-signature"].count("v1,") == 1


# --- attempts -------------------------------------------------------------------------------------


async def test_what_fails_is_tried_by_the_schedule_and_then_exhausted(
    service: RunningService, provider: ScriptedProvider, sink: Sink
) -> None:
    for status_code in (500, 503, 429, 404, 302, 304, 199):
        sink.messages.clear()
        sink.answer = always(status_code, Location="/elsewhere")
        job = await follow(service, provider, sink.url)
        await job.apply(FAILED)
        (delivery,) = await job.states("exhausted")
        assert len(delivery["attempts"]) == 3, status_code
        assert (delivery["next_attempt_at"], delivery["delivered_at"]) == (None, None)
        assert {message.id for message in sink.messages} == {delivery["id"]}
        assert {message.path for message in sink.messages} == {"/hook"}
        assert len({message.body for message in sink.messages}) == 1
        for message in sink.messages:
            message.verified(SECRET)


async def test_an_attempt_that_succeeds_ends_the_schedule(
    service: RunningService, provider: ScriptedProvider, sink: Sink
) -> None:
    async def third_time(_: Message) -> Response:
        return Response(status_code=500 if len(sink.messages) < 3 else 204)

    sink.answer = third_time
    job = await follow(service, provider, sink.url)
    await job.apply(FAILED)
    (delivery,) = await job.states("delivered")
    assert [each["status_code"] for each in delivery["attempts"]] == [500, 500, 204]


async def test_retry_after_is_honoured(
    service: RunningService, provider: ScriptedProvider, sink: Sink
) -> None:
    async def busy_once(_: Message) -> Response:
        if len(sink.messages) == 1:
            return Response(status_code=503, headers={"Retry-After": "1"})
        return Response()

    sink.answer = busy_once
    job = await follow(service, provider, sink.url)
    began = time.monotonic()
    await job.apply(FAILED)
    await job.states("delivered")
    assert time.monotonic() - began > 0.95


async def test_the_first_gap_of_the_schedule_is_kept(
    start: Start, provider: ScriptedProvider, sink: Sink
) -> None:
    service = await start(**provider.settings() | RELAY | {"relay_schedule": "0.5"})
    job = await follow(service, provider, sink.url)
    began = time.monotonic()
    await job.apply(FAILED)
    await job.states("delivered")
    assert time.monotonic() - began > 0.45


@pytest.mark.parametrize("hang_after_head", [False, True])
async def test_an_attempt_has_its_time(
    start: Start, provider: ScriptedProvider, hang_after_head: bool
) -> None:
    """The status line decides: what comes after it may break off."""

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if hang_after_head:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun")
        await reader.read()

    async with tcp_server(hang) as server:
        settings = RELAY | {"relay_schedule": "0", "relay_timeout": 1}
        service = await start(**provider.settings(), **settings)
        job = await follow(service, provider, f"http://127.0.0.1:{server.port}/")
        await job.apply(FAILED)
        (delivery,) = await job.states("delivered" if hang_after_head else "exhausted")
    (attempt,) = delivery["attempts"]
    expected = (200, None) if hang_after_head else (None, "timeout")
    assert (attempt["status_code"], attempt["error"]) == expected
    assert 950 < attempt["duration_ms"] < 10_000  # by default it would have fifteen seconds


async def test_gone_turns_the_address_off_for_that_job(
    service: RunningService, provider: ScriptedProvider, sink: Sink
) -> None:
    sink.answer = always(410)
    job = await follow(service, provider, sink.url)
    other = await follow(service, provider, sink.url)
    await job.apply({"status": "IN_PROGRESS"})
    (off,) = await job.states("disabled")
    await job.apply(COMPLETED)
    off, born_off = await job.states("disabled", "disabled")
    assert (len(off["attempts"]), len(born_off["attempts"])) == (1, 0)
    sink.answer = None
    await other.apply(FAILED)
    await other.states("delivered")
    assert len(sink.messages) == 2

    # Asked for again, the address is on again.
    path = f"/v1/deliveries/{born_off['id']}/retry"
    assert (await job.client.post(path)).status_code == 202
    await job.states("disabled", "delivered")
    assert sink.messages[-1].verified(SECRET)["status"] == "COMPLETED"


async def test_a_dead_host_is_probed_and_delays_no_other(
    service: RunningService, provider: ScriptedProvider, sink: Sink
) -> None:
    dead = "http://127.0.0.1:9/"  # nobody listens there
    jobs = [await follow(service, provider, dead) for _ in range(4)]
    for job in jobs:
        await job.apply(FAILED)

    async def attempts() -> int:
        found = [each for job in jobs for each in await job.deliveries()]
        return sum(len(each["attempts"]) for each in found)

    await eventually(attempts, lambda count: count >= 5)
    alive = await follow(service, provider, sink.url)
    began = time.monotonic()
    await alive.apply(FAILED)
    await alive.states("delivered")
    assert time.monotonic() - began < 10  # the dead host is probed once a minute
    # Four may have been under way when the fifth failed; what is held back uses up no attempt.
    assert 5 <= await attempts() <= 8
    found = [each for job in jobs for each in await job.deliveries()]
    assert {e["error"] for each in found for e in each["attempts"]} == {"connect_failed"}


async def test_a_name_that_leads_to_us_is_refused_when_it_is_called(
    start: Start, provider: ScriptedProvider, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the name's addresses tell, so the submission is taken and each attempt fails."""
    monkeypatch.setattr(resolver, "_system_lookup", lambda _: [ip_address("127.0.0.1")])
    service = await start(
        **provider.settings(), **RELAY | {"relay_allow_nets": "", "relay_schedule": "0"}
    )
    port = httpx.URL(sink.url).port
    job = await follow(service, provider, f"http://hooks.example:{port}/hook")
    await job.apply(FAILED)
    (delivery,) = await job.states("exhausted")
    assert delivery["attempts"][0]["error"].startswith("refused_target")
    assert sink.messages == []


async def test_a_slow_host_has_four_at_once_and_the_rest_waits(
    service: RunningService, provider: ScriptedProvider, sink: Sink
) -> None:
    at_once = most = 0
    release = asyncio.Event()
    # A host that has answered once is proven, and gets its four.
    first = await follow(service, provider, sink.url)
    await first.apply(FAILED)
    await first.states("delivered")
    sink.messages.clear()

    async def slow(_: Message) -> Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await release.wait()
        at_once -= 1
        return Response()

    sink.answer = slow
    jobs = [await follow(service, provider, sink.url) for _ in range(7)]
    for job in jobs:
        await job.apply(FAILED)
    await sink.arrived(4)
    async with relay_sink() as other:
        quick = await follow(service, provider, other.url)
        await quick.apply(FAILED)
        await quick.states("delivered")
    assert (len(sink.messages), most) == (4, 4)
    release.set()
    for job in jobs:
        await job.states("delivered")
    assert most == 4


# --- asking for it again --------------------------------------------------------------------------


async def test_what_was_delivered_or_exhausted_is_sent_again_on_request(
    service: RunningService, provider: ScriptedProvider, sink: Sink
) -> None:
    job = await follow(service, provider, sink.url)
    await job.apply(FAILED)
    (delivery,) = await job.states("delivered")
    path = f"/v1/deliveries/{delivery['id']}/retry"

    answer = await job.client.post(path)
    assert (answer.status_code, answer.json()["state"]) == (202, "pending")
    await sink.arrived(2)
    (again,) = await job.states("delivered")
    assert (again["id"], len(again["attempts"])) == (delivery["id"], 2)

    sink.answer = always(500)
    assert (await job.client.post(path)).status_code == 202
    (exhausted,) = await job.states("exhausted")
    assert len(exhausted["attempts"]) == 5  # at once, and then the schedule again
    sink.answer = None
    assert (await job.client.post(path)).status_code == 202
    await job.states("delivered")
    assert len({message.body for message in sink.messages}) == 1


async def test_a_pending_delivery_is_not_retried(
    start: Start, provider: ScriptedProvider, sink: Sink
) -> None:
    service = await start(**provider.settings() | RELAY | {"relay_schedule": "0,60"})
    sink.answer = always(500)
    job = await follow(service, provider, sink.url)
    await job.apply(FAILED)
    await sink.arrived(1)
    found = await eventually(job.deliveries, lambda found: len(found[0]["attempts"]) == 1)
    assert found[0]["state"] == "pending"
    assert found[0]["next_attempt_at"] > found[0]["created_at"]
    answer = await job.client.post(f"/v1/deliveries/{found[0]['id']}/retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "delivery_pending")
    assert (await job.client.post("/v1/deliveries/msg_x/retry")).status_code == 404


async def test_a_skipped_one_is_sent_out_of_order(
    service: RunningService, provider: ScriptedProvider, sink: Sink
) -> None:
    release = sink.hold()
    job = await follow(service, provider, sink.url, webhookEvents=["IN_PROGRESS", "progress"])
    for progress in (10, 20, 30):
        await job.apply({"status": "IN_PROGRESS", "progress": progress})
        await sink.arrived(1)
    release.set()
    _, skipped, _ = await job.states("delivered", "skipped", "delivered")
    answer = await job.client.post(f"/v1/deliveries/{skipped['id']}/retry")
    assert answer.status_code == 202
    await job.states("delivered", "delivered", "delivered")
    assert [m.verified(SECRET)["progress"] for m in sink.messages] == [10, 30, 20]


async def test_deliveries_are_listed_by_state_and_page(
    service: RunningService, provider: ScriptedProvider, sink: Sink
) -> None:
    jobs = [await follow(service, provider, sink.url) for _ in range(3)]
    for job in jobs[:2]:
        await job.apply(FAILED)
        await job.states("delivered")
    sink.answer = always(410)
    await jobs[2].apply(FAILED)
    await jobs[2].states("disabled")
    client = jobs[0].client

    async def listed(**query: str) -> tuple[list[str], str | None]:
        answer = await client.get("/v1/deliveries", params=query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        return [each["request_id"] for each in page["deliveries"]], page["next_cursor"]

    newest_first = [job.request_id for job in jobs[::-1]]
    assert await listed() == (newest_first, None)
    assert await listed(state="delivered") == (newest_first[1:], None)
    assert await listed(state="disabled") == (newest_first[:1], None)
    assert await listed(state="pending") == ([], None)
    page, cursor = await listed(limit="2")
    assert page == newest_first[:2]
    assert await listed(limit="2", cursor=cursor or "") == (newest_first[2:], None)
    for query in ("state=done", "limit=0", "cursor=x", "status=FAILED"):
        assert (await client.get(f"/v1/deliveries?{query}")).status_code == 400
    other = await service.user("bob")
    assert (await other.get("/v1/deliveries")).json() == {"deliveries": [], "next_cursor": None}


async def test_the_message_is_as_the_job_stood_at_its_event(
    service: RunningService, provider: ScriptedProvider, sink: Sink
) -> None:
    release = asyncio.Event()

    async def slow(_: Message) -> Response:
        await release.wait()
        return Response(status_code=500 if len(sink.messages) == 1 else 200)

    sink.answer = slow
    job = await follow(service, provider, sink.url)
    await job.apply({"status": "IN_PROGRESS", "progress": 5, "message": "é\u2028"})
    await sink.arrived(1)
    await job.apply(FAILED)
    release.set()
    await job.states("skipped", "delivered")
    first = sink.messages[0].verified(SECRET)
    assert (first["status"], first["progress"], first["message"]) == ("IN_PROGRESS", 5, "é\u2028")
    final = json.loads(sink.messages[1].body)
    assert final["error"] == (await job.document())["error"]
