"""The HTTP client's connections, over real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from ipaddress import ip_address

import pytest
import uvloop

from receiver.http_client.connection import (
    MAX_ADDRESSES,
    MAX_UNREAD,
    Connection,
    connect,
    default_tls,
)
from tests.providers import faulty_server as faulty
from tests.providers.faulty_server import answer_each, faulty_server, full_backlog
from tests.support.service import TIMEOUT

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HERE = ip_address("127.0.0.1")
HOST = [("Host", "here")]


@asynccontextmanager
async def connected_to(behaviour: faulty.Behaviour) -> AsyncIterator[Connection]:
    async with faulty_server(behaviour) as server:
        with closing(await connect([HERE], server.port, TIMEOUT)) as connection:
            yield connection


async def ask(connection: Connection) -> bytes:
    await connection.request("GET", "/", HOST)
    return await rest_of(connection)


async def rest_of(connection: Connection) -> bytes:
    body = b""
    while piece := await connection.read():
        body += piece
    return body


async def test_a_connection_serves_one_request_after_another() -> None:
    async with connected_to(answer_each(OK)) as connection:
        assert [await ask(connection) for _ in range(3)] == [b"ok"] * 3
        assert connection.is_reusable


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", id="HTTP/1.0"),
        pytest.param(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), id="close"),
        pytest.param(OK + OK, id="two answers"),
        pytest.param(OK + b"rubbish", id="more than announced"),
    ],
)
async def test_a_connection_is_not_reused_if_the_next_answer_could_be_wrong(answer: bytes) -> None:
    async with connected_to(answer_each(answer)) as connection:
        assert await ask(connection) == b"ok"
        assert not connection.is_reusable


async def test_unsolicited_bytes_are_not_an_answer() -> None:
    async def answer_twice(connection: faulty.Connection) -> None:
        await connection.receive()
        await connection.send(OK)
        await asyncio.sleep(0.01)
        await connection.send(OK.replace(b"ok", b"no"))
        await connection.until_client_leaves()

    async with faulty_server(answer_twice) as server:
        with closing(await connect([HERE], server.port, TIMEOUT)) as connection:
            assert await ask(connection) == b"ok"
            await server.empty.wait()
            with pytest.raises(ConnectionResetError):
                await connection.request("GET", "/", HOST)


async def test_a_connection_is_not_reused_while_its_answer_is_not_read() -> None:
    """The connection may be paused, and then the next answer would never come."""
    async with connected_to(answer_each(OK)) as connection:
        await connection.request("GET", "/", HOST)
        assert not connection.is_reusable
        assert await rest_of(connection) == b"ok"
        assert connection.is_reusable


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked \r\nX: 1\t\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            id="white space after values",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nUpgrade: h2\r\nConnection: Upgrade\r\nX: 1\r\nContent-Length: 2"
            b"\r\n\r\nok",
            id="an offer to upgrade",
        ),
    ],
)
async def test_an_answer_that_is_unusual_is_read(answer: bytes) -> None:
    async with connected_to(answer_each(answer)) as connection:
        response = await connection.request("GET", "/", HOST)
        assert response.header("x") == "1"
        assert await rest_of(connection) == b"ok"
        assert connection.is_reusable


async def test_interim_answers_are_skipped_with_their_headers() -> None:
    interim = b"HTTP/1.1 103 Early\r\nRetry-After: 9\r\n\r\n"
    async with connected_to(answer_each(interim + OK)) as connection:
        response = await connection.request("POST", "/", HOST, b"x")
        assert (response.status, response.header("retry-after")) == (200, None)
        assert response.header("content-length") == "2"


@pytest.mark.parametrize(
    ("target", "value"),
    [("/a b", "1"), ("/a\r\nX: y", "1"), ("/\0", "1"), ("/é", "1"), ("/", "1\nY: 2")],
)
async def test_a_request_with_invalid_characters_is_not_sent(target: str, value: str) -> None:
    async with connected_to(answer_each(OK)) as connection:
        with pytest.raises(ValueError, match=r"invalid|ascii"):
            await connection.request("GET", target, [*HOST, ("X", value)])
        assert await ask(connection) == b"ok"


async def test_a_slow_reader_slows_the_server_down() -> None:
    sent = 0

    async def flood(connection: faulty.Connection) -> None:
        nonlocal sent
        await connection.receive()
        await connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while sent < 300 * MAX_UNREAD:
            sent += MAX_UNREAD
            await connection.send(bytes(MAX_UNREAD))

    async with connected_to(flood) as connection:
        await connection.request("GET", "/", HOST)
        before = -1
        while before != sent:  # until the sockets' buffers are full
            before = sent
            await asyncio.sleep(0.05)
        assert sent < 300 * MAX_UNREAD
        received = 0
        while piece := await connection.read():
            received += len(piece)
        assert received == 300 * MAX_UNREAD


@pytest.mark.allow_hosts(["127.0.0.1", "127.0.1.1"])
async def test_an_unresponsive_address_leaves_time_for_the_next() -> None:
    async with faulty_server(answer_each(OK)) as server, full_backlog("127.0.1.1", server.port):
        with closing(
            await connect([ip_address("127.0.1.1"), HERE], server.port, 1.0)
        ) as connection:
            assert await ask(connection) == b"ok"


@pytest.mark.allow_hosts(["127.0.0.1", "::1"])
async def test_both_families_are_tried_however_many_addresses_one_has() -> None:
    dead = [ip_address("::1")] * (MAX_ADDRESSES + 1)
    async with faulty_server(answer_each(OK)) as server:
        with closing(await connect([*dead, HERE], server.port, 1.0)) as connection:
            assert await ask(connection) == b"ok"


@pytest.mark.parametrize("iterations", [0, 1])
def test_a_server_that_closes_before_tls_is_an_error(iterations: int) -> None:
    """On uvloop, as in production: its `start_tls` then reports success, or hangs."""

    async def encrypt() -> None:
        ours, theirs = socket.socketpair()
        theirs.close()
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, sock=ours)
        for _ in range(iterations):
            await asyncio.sleep(0)
        async with asyncio.timeout(TIMEOUT):
            await connection.start_tls(default_tls(), "provider.example")

    with pytest.raises(ConnectionResetError, match=r"^the connection was closed$"):
        uvloop.run(encrypt())
