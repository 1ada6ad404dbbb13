"""One POST to every kind of host, over real sockets on this machine."""

import asyncio
import random
import time
import tracemalloc
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address, ip_network

import pytest
from standardwebhooks import Webhook

from receiver.clock import SystemClock
from receiver.net.resolver import IPAddress
from receiver.webhooks.delivery import LONGEST_ANSWER, AttemptResult, WebhookSender
from receiver.webhooks.network import CheckedNetwork
from receiver.webhooks.signing import new_secret, sign
from tests.providers.faulty_server import (
    THIS_MACHINE,
    Connection,
    FaultyServer,
    answer,
    answer_each,
    faulty_server,
    send_raw,
)
from tests.webhooks.hostile_answers import DECIDED, FAILURES, OK

BODY = b'{"request_id":"job_1"}'
ALLOWED = [ip_network("127.0.0.1/32"), ip_network("127.0.1.0/24"), ip_network("::1/128")]
SHORT = 1.0
"""Seconds, for tests that run into the timeout."""


class Names:
    """A name service with scripted answers; the last answer for a name is repeated."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self._answers = {name: list(script) for name, script in answers.items()}
        self.asked: list[str] = []

    async def resolve(self, host: str) -> Sequence[IPAddress]:
        with suppress(ValueError):
            return [ip_address(host)]
        self.asked.append(host)
        script = self._answers.get(host.partition(".")[0], [[]])
        addresses = script.pop(0) if len(script) > 1 else script[0]
        return [ip_address(address) for address in addresses]


def sender_with(names: Names) -> WebhookSender:
    return WebhookSender(CheckedNetwork(names.resolve, True, ALLOWED), SystemClock())


@pytest.fixture
def sender() -> WebhookSender:
    return sender_with(Names(hooks=[["127.0.0.1"]]))


async def deliver(
    sender: WebhookSender,
    server: FaultyServer,
    *,
    host: str | None = None,
    timeout: float = 30,
    scheme: str = "http",
) -> AttemptResult:
    url = f"{scheme}://{host or server.host}:{server.port}/hook?x=1"
    return await sender.deliver(url, {"Content-Type": "application/json"}, BODY, timeout)


# --- what is sent, and what is kept of the answer -------------------------------------------------


async def test_a_signed_message_arrives_as_it_was_signed(sender: WebhookSender) -> None:
    secret = new_secret(bytes(32))
    headers = sign([secret], "msg_1", time.time_ns() // 1_000_000, BODY)
    async with faulty_server(send_raw(OK)) as server:
        url = f"http://Hooks.example:{server.port}/hook?x=1"
        attempt = await sender.deliver(url, headers, BODY, 5)
    assert (attempt.status_code, attempt.error, attempt.excerpt) == (200, None, "ok")
    assert not attempt.connect_failure
    assert 0 <= attempt.duration_ms < 30_000
    lines = server.heads[0].strip().split("\r\n")
    assert lines[0] == "POST /hook?x=1 HTTP/1.1"
    sent = dict(line.split(": ", 1) for line in lines[1:])
    assert sent["Host"] == f"hooks.example:{server.port}"
    Webhook(secret).verify(server.bodies[0], sent)


@pytest.mark.parametrize("code", [200, 299, 301, 307, 404, 410, 599, 999])
async def test_the_status_is_reported_and_a_redirect_is_not_followed(
    sender: WebhookSender, code: int
) -> None:
    async with faulty_server(send_raw(OK)) as elsewhere:
        url = f"http://127.0.0.1:{elsewhere.port}/"
        headers = {"Location": url, "retry-AFTER": "999999999"}
        async with faulty_server(answer(code, headers=headers)) as server:
            attempt = await deliver(sender, server)
    assert (attempt.status_code, attempt.error) == (code, None)
    assert attempt.retry_after_ms == 86_400_000  # a day, at most
    assert (server.connections, elsewhere.connections) == (1, 0)


# --- connections ----------------------------------------------------------------------------------


async def test_each_attempt_has_a_connection_of_its_own_and_closes_it(
    sender: WebhookSender,
) -> None:
    async with faulty_server(answer_each(OK)) as server:
        for _ in range(3):
            assert (await deliver(sender, server)).status_code == 200
        await server.empty.wait()
    assert server.connections == 3
    assert "\r\nConnection: close\r\n" in server.heads[0]


@pytest.mark.parametrize(
    ("url", "error"),
    [("http://127.0.0.1:1/", "connect_failed"), ("https://nowhere.example/", "no_address")],
)
async def test_a_host_that_cannot_be_reached(sender: WebhookSender, url: str, error: str) -> None:
    attempt = await sender.deliver(url, {}, BODY, 5)
    assert (attempt.status_code, attempt.error, attempt.connect_failure) == (None, error, True)


@pytest.mark.allow_hosts(THIS_MACHINE)
async def test_the_next_address_is_tried_and_a_name_with_many_is_not_a_port_scan() -> None:
    dead = [f"127.0.1.{n}" for n in range(1, 9)]
    names = Names(two=[[dead[0], "127.0.0.1"]], many=[[*dead, "127.0.0.1"]])
    sender = sender_with(names)
    async with faulty_server(send_raw(OK)) as server:
        assert (await deliver(sender, server, host="two.example")).status_code == 200
        assert (await deliver(sender, server, host="many.example")).error == "connect_failed"
    assert server.connections == 1


async def test_attempts_that_run_out_of_time_at_any_moment_leave_nothing_behind() -> None:
    rng = random.Random(1)

    async def slow(connection: Connection) -> None:
        await connection.receive()
        for piece in (OK[:20], OK[20:]):
            await asyncio.sleep(rng.random() * 0.01)
            await connection.send(piece)

    sender = sender_with(Names(hooks=[["127.0.0.1"]]))
    async with faulty_server(slow) as server:
        for _ in range(10):
            attempts = await asyncio.gather(
                *(
                    deliver(sender, server, host="hooks.example", timeout=rng.random() * 0.03)
                    for _ in range(20)
                )
            )
            assert {attempt.error for attempt in attempts} <= {None, "timeout"}
        assert (await deliver(sender, server)).status_code == 200
        await server.empty.wait()


# --- hostile answers ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAILURES)
async def test_an_answer_without_a_status_is_a_failed_attempt(
    sender: WebhookSender, name: str
) -> None:
    behaviour, error = FAILURES[name]
    async with faulty_server(behaviour) as server:
        attempt = await deliver(sender, server, timeout=SHORT if error == "timeout" else 30)
    assert (attempt.status_code, attempt.error) == (None, error)
    assert not attempt.connect_failure
    assert attempt.excerpt is None


@pytest.mark.parametrize("name", DECIDED)
async def test_the_status_decides_whatever_the_body_does(sender: WebhookSender, name: str) -> None:
    behaviour, excerpt = DECIDED[name]
    async with faulty_server(behaviour) as server:
        attempt = await deliver(sender, server, timeout=SHORT if name == "a drip" else 30)
    assert (attempt.status_code, attempt.error) == (200, None)
    assert attempt.excerpt == excerpt


@pytest.mark.parametrize("name", ["gigabytes", "endless tiny chunks", "endless interim answers"])
async def test_a_flood_grows_no_memory_and_leaves_the_loop_its_time(
    sender: WebhookSender, name: str
) -> None:
    behaviour = (DECIDED | FAILURES)[name][0]
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - before)

    async with faulty_server(behaviour) as server:
        watching = asyncio.create_task(watch())
        await asyncio.gather(*(deliver(sender, server) for _ in range(8)))
        watching.cancel()
        tracemalloc.start()
        try:
            await asyncio.gather(*(deliver(sender, server) for _ in range(8)))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert longest < 1  # our own CPU time, so that a busy machine is no failure
    # This includes the sinks' write buffers, since they are in this process.
    assert peak < 8 * 8 * LONGEST_ANSWER
