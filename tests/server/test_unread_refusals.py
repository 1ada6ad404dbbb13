"""A client that is refused under load, and does not read that, is not read on either; but all that
it has sent is answered once it reads."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from receiver.server import incoming
from receiver.server.connection import CONNECTION, MOST_HEADERS, GuardedConnection
from receiver.server.pipelining import PARSED_AT_ONCE
from tests.http_api.raw_http import RawConnection, raw_connection, request_bytes
from tests.server.raw_asgi import respond, shedder
from tests.support.asgi_server import asgi_server
from tests.support.service import TIMEOUT, until_seen

LARGE = 8 * 1024 * 1024
"""Bytes; more than the kernel buffers while nobody reads."""
SHORT = 0.2
"""Seconds that replace a time limit."""
POST = request_bytes("POST", "/", b"x")
UPGRADE = b"GET / HTTP/1.1\r\nUpgrade: a\r\nConnection: upgrade\r\n"
BODY = b"x" * LARGE


@dataclass
class Shedding:
    """A server that answers each GET with `LARGE` bytes and refuses every POST, and a client of it
    that reads nothing yet."""

    client: RawConnection = field(init=False)
    deaf: ExitStack = field(default_factory=ExitStack)
    connection: GuardedConnection = field(init=False)
    refused: int = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.connection = scope["extensions"][CONNECTION]
        await respond(send, b"x" * LARGE)

    def refuse(self, method: str, target: bytes) -> None:
        self.refused += 1

    async def read(self, refusals: int) -> None:
        """Read the large answer, and that many refusals."""
        self.deaf.close()
        assert len((await self.client.answer()).body) == LARGE
        for _ in range(refusals):
            assert (await self.client.answer()).status_code == 503


@pytest.fixture
async def shedding() -> AsyncIterator[Shedding]:
    """The client has a large answer to read."""
    server = Shedding()
    load_shedder = shedder(on_refusal=server.refuse)
    async with asgi_server(server, load_shedder) as url, raw_connection(url) as client:
        server.client = client
        with server.deaf:
            server.deaf.enter_context(client.deaf())
            await client.send(request_bytes("GET", "/"))
            await until_seen(lambda: hasattr(server, "connection"), what="the request")
            await until_seen(lambda: server.connection.flow.write_paused, what="an unread answer")
            yield server


@pytest.mark.parametrize("is_pipelined", [True, False])
async def test_no_more_is_read_than_was_parsed_at_once(
    shedding: Shedding, is_pipelined: bool
) -> None:
    """If all come together, a body lies between any two, and each part ends before one."""
    many = 1_000
    for request in [POST * many] if is_pipelined else [POST] * many:
        await shedding.client.send(request)
        await asyncio.sleep(0)
    before = -1
    while shedding.refused != before:
        before = shedding.refused
        await asyncio.sleep(SHORT)
    assert 0 < shedding.refused <= PARSED_AT_ONCE
    await shedding.read(many)
    assert shedding.refused == many


async def test_a_client_may_send_its_body_before_it_reads(shedding: Shedding) -> None:
    await asyncio.wait_for(shedding.client.send(request_bytes("POST", "/", BODY)), TIMEOUT)
    await shedding.read(1)


@pytest.mark.parametrize(
    ("last", "status"),
    [
        (request_bytes("POST", "/", BODY, Connection="close"), 503),
        (b"CONNECT a:1 HTTP/1.1\r\n\r\n" + BODY, 400),
        (UPGRADE + b"a:b\r\n" * MOST_HEADERS + b"\r\n" + BODY, 431),
    ],
    ids=["close", "CONNECT", "headers"],
)
async def test_a_client_that_still_sends_sees_the_last_answer(
    shedding: Shedding, last: bytes, status: int
) -> None:
    await asyncio.wait_for(shedding.client.send(POST + last), TIMEOUT)
    await shedding.read(1)
    assert (await shedding.client.answer()).status_code == status
    assert await shedding.client.ended()


async def test_no_time_limit_runs_while_a_refused_body_is_not_read(
    monkeypatch: pytest.MonkeyPatch, shedding: Shedding
) -> None:
    monkeypatch.setattr(incoming, "QUIET_SECONDS", SHORT)
    requests = POST + request_bytes("POST", "/", BODY)
    sending = asyncio.create_task(shedding.client.send(requests))
    loop = asyncio.get_running_loop()
    for _ in range(3):
        await asyncio.sleep(SHORT)
        shedding.connection.end_if_slow(loop.time())
        assert not shedding.connection._incoming.is_too_slow(loop.time())  # once it is read on
    assert not sending.done()
    await shedding.read(2)
    await asyncio.wait_for(sending, TIMEOUT)
