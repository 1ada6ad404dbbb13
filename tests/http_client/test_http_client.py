"""The HTTP client's connections, over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress

import pytest

from receiver.http_client import MOST_UNREAD, BadAnswer, Connection, Response, connect

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HOST = [("Host", "here")]

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def connected_to(
    behaviour: Behaviour, ended: asyncio.Event | None = None
) -> AsyncIterator[Connection]:
    """A connection; `ended` is set once the server has seen its end."""
    ended = ended or asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await behaviour(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        with closing(await connect("127.0.0.1", server.sockets[0].getsockname()[1])) as connection:
            yield connection
        await ended.wait()


def answering(answer: bytes, after: bytes = b"") -> Behaviour:
    """Answers each request, and sends `after` a little later."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(answer)
            await asyncio.sleep(0.01 if after else 0)
            writer.write(after)

    return behave


async def ask(connection: Connection) -> bytes:
    response = await connection.request("GET", "/", HOST)
    return await rest_of(response)


async def rest_of(response: Response) -> bytes:
    body = b""
    while piece := await response.read():
        body += piece
    return body


async def test_a_connection_serves_one_request_after_another() -> None:
    async with connected_to(answering(OK)) as connection:
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
    async with connected_to(answering(answer)) as connection:
        assert await ask(connection) == b"ok"
        assert not connection.is_reusable


async def test_what_comes_unasked_is_never_taken_for_an_answer() -> None:
    ended = asyncio.Event()
    unasked = answering(OK, after=OK.replace(b"ok", b"no"))
    async with connected_to(unasked, ended) as connection:
        assert await ask(connection) == b"ok"
        await ended.wait()
        with pytest.raises(ConnectionResetError):
            await connection.request("GET", "/", HOST)


async def test_a_connection_is_not_reused_while_its_answer_is_not_read() -> None:
    """It may be paused: then the next answer would never come."""
    async with connected_to(answering(OK)) as connection:
        response = await connection.request("GET", "/", HOST)
        assert not connection.is_reusable
        assert await rest_of(response) == b"ok"
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
    async with connected_to(answering(answer)) as connection:
        response = await connection.request("GET", "/", HOST)
        assert response.header("x") == "1"
        assert await rest_of(response) == b"ok"
        assert connection.is_reusable


async def test_interim_answers_are_skipped_with_their_headers() -> None:
    interim = b"HTTP/1.1 103 Early\r\nRetry-After: 9\r\n\r\n"
    async with connected_to(answering(interim + OK)) as connection:
        response = await connection.request("POST", "/", HOST, b"x")
        assert (response.status, response.header("retry-after")) == (200, None)
        assert response.header("content-length") == "2"


@pytest.mark.parametrize("target", ["/a b", "/a\r\nX: y", "/\0", "/é"])
async def test_a_request_with_invalid_characters_is_not_sent(target: str) -> None:
    async with connected_to(answering(OK)) as connection:
        with pytest.raises(ValueError, match=r"invalid|ascii"):
            await connection.request("GET", target, HOST)
        assert await ask(connection) == b"ok"


async def test_a_header_cannot_smuggle_another() -> None:
    async with connected_to(answering(OK)) as connection:
        with pytest.raises(ValueError, match="invalid"):
            await connection.request("GET", "/", [*HOST, ("X", "1\nY: 2")])


async def test_a_slow_reader_holds_the_server_up() -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing() and sent < 1000 * MOST_UNREAD:
            writer.write(bytes(MOST_UNREAD))
            sent += MOST_UNREAD
            await writer.drain()

    async with connected_to(flood) as connection:
        response = await connection.request("GET", "/", HOST)
        before = -1
        while before != sent:  # until the sockets' buffers are full
            before = sent
            await asyncio.sleep(0.05)
        assert sent < 1000 * MOST_UNREAD
        received = 0
        while piece := await response.read():
            received += len(piece)
        assert received == 1000 * MOST_UNREAD


async def test_an_answer_that_breaks_off_is_not_complete() -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok")

    async with connected_to(cut) as connection:
        with pytest.raises(BadAnswer):
            await ask(connection)
