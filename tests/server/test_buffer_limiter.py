"""Responses that clients do not read take a limited amount of memory."""

from collections import deque
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import Mock

import pytest

from receiver.server import buffer_limiter
from receiver.server.buffer_limiter import WriteBufferLimiter
from receiver.server.connection import GuardedConnection
from receiver.server.incoming import Incoming
from tests.http_api.raw_http import raw_connection, request_bytes
from tests.server.raw_asgi import respond
from tests.support.asgi_server import asgi_server


@dataclass(eq=False)
class Reader:
    """A client that last read at `since`, and has `size` unread bytes."""

    since: float
    size: int
    unsent: tuple[int, float] = field(init=False)
    transport: Any = field(init=False)

    def __post_init__(self) -> None:
        self.unsent = (0, self.since)
        self.transport = Mock(**{"get_write_buffer_size.return_value": self.size})

    @property
    def is_cut(self) -> bool:
        called: bool = self.transport.abort.called
        return called


@pytest.mark.parametrize(
    ("readers", "cut"),
    [
        ([Reader(1.0, 60), Reader(2.0, 40)], []),
        ([Reader(1.0, 60), Reader(2.0, 41)], [0]),
        ([Reader(2.0, 99), Reader(1.0, 2)], [1]),  # a client that reads may have many unread bytes
        ([Reader(2.0, 10), Reader(2.0, 90), Reader(2.0, 50)], [1]),
        ([Reader(3.0, 80), Reader(1.0, 80), Reader(2.0, 80)], [1, 2]),
        ([Reader(1.0, 0), Reader(2.0, 200)], [1]),
    ],
)
def test_who_reads_nothing_for_longest_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, readers: list[Reader], cut: list[int]
) -> None:
    monkeypatch.setattr(buffer_limiter, "MAX_UNSENT", 100)

    WriteBufferLimiter(readers).check()

    assert [number for number, reader in enumerate(readers) if reader.is_cut] == cut


def test_many_large_responses_are_checked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer_limiter, "MAX_UNSENT", 4 * buffer_limiter.LARGE)
    reader = Reader(1.0, 5 * buffer_limiter.LARGE)
    limiter = WriteBufferLimiter([reader])

    limiter.wrote(buffer_limiter.LARGE)
    assert not reader.is_cut
    limiter.wrote(buffer_limiter.LARGE + 1)
    assert reader.is_cut


async def test_clients_that_read_nothing_cost_no_more_than_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = 16 * 1024 * 1024
    monkeypatch.setattr(buffer_limiter, "MAX_UNSENT", 2 * size)

    async def long_answers(_scope: Any, _receive: Any, send: Any) -> None:
        await respond(send, b"x" * size)

    async with asgi_server(long_answers) as url, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(raw_connection(url)) for _ in range(5)]
        *deaf, reader = clients
        with ExitStack() as reading_nothing:
            for client in deaf:
                reading_nothing.enter_context(client.deaf())
            for client in clients:
                await client.send(request_bytes("GET", "/", Connection="close"))
            assert len(await reader.rest()) > size
        got = [len(await client.rest()) for client in deaf]
    assert sum(length > size for length in got) <= 2


async def test_a_pipelined_request_waits_until_the_response_before_is_read() -> None:
    size, begun = 16 * 1024 * 1024, 0

    async def long_answers(_scope: Any, _receive: Any, send: Any) -> None:
        nonlocal begun
        begun += 1
        await respond(send, b"x" * size)

    async with asgi_server(long_answers) as url, raw_connection(url) as client:
        with client.deaf():
            await client.send(request_bytes("GET", "/") * 3)
            async with raw_connection(url) as other:
                assert len((await other.ask(request_bytes("GET", "/"))).body) == size
            assert begun == 2  # one from each client
        for _ in range(3):
            assert len((await client.answer()).body) == size
    assert begun == 4


@pytest.mark.parametrize("is_closing", [False, True])
@pytest.mark.parametrize(("levels", "is_cut"), [([900], True), ([900, 850, 990, 870], False)])
def test_who_reads_little_but_steadily_is_not_cut_off(
    levels: list[int], is_cut: bool, is_closing: bool
) -> None:
    """A download refills the buffer as often as its client has read a part of it. After its last
    response, a connection closes only once all of that is read."""
    connection = GuardedConnection.__new__(GuardedConnection)
    connection.unsent = (0, 0.0)
    connection._incoming = Incoming()
    connection.transport = Mock()
    connection.flow = Mock(write_paused=not is_closing)
    connection.pipeline = deque()
    connection._awaits_reader = False
    if is_closing:
        connection._incoming.end(0.0)

    for now in range(200):
        connection.transport.get_write_buffer_size.return_value = levels[now % len(levels)]
        connection.end_if_slow(float(now))

    assert connection.transport.abort.called == is_cut
