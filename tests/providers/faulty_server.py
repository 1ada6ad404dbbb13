"""A server on a real socket that breaks HTTP in a chosen way, and records what it received.

    async with faulty_server(answer(200, b'{"request_id": "x"}')) as server:
        ... call server.url ...
    assert len(server.bodies) == 1

A behaviour handles one connection. Leaving the block waits until all of them have ended, so that
the records are final without a sleep; with `cut` it aborts them instead.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.ports import free_port
from tests.support.tcp_server import tcp_server


@dataclass(slots=True)
class FaultyServer:
    """The server's address, and what has reached it."""

    url: str = ""
    """Base URL of a provider, with a trailing `/`."""
    host: str = ""
    port: int = 0
    connections: int = 0
    bodies: list[bytes] = field(default_factory=list)
    """Bodies of complete requests, including empty ones of a GET: a provider could act on these."""
    heads: list[str] = field(default_factory=list)
    """The request line and headers that belong to `bodies`."""
    received: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a complete request has arrived."""
    empty: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while no client is connected."""


class Connection:
    """One client's connection, for a behaviour."""

    def __init__(
        self, server: FaultyServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer

    async def receive(self) -> None:
        """Read one whole request.

        Raises:
            asyncio.IncompleteReadError: the client left before that.
        """
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = 0
        for line in head.split("\r\n"):
            name, _, value = line.partition(":")
            if name.lower() == "content-length":
                length = int(value)
        self._server.bodies.append(await self._reader.readexactly(length))
        self._server.heads.append(head)
        self._server.received.set()

    async def send(self, raw: bytes) -> None:
        """Write bytes as they are."""
        self._writer.write(raw)
        await self._writer.drain()

    async def until_client_leaves(self) -> None:
        """Send nothing until the other side closes."""
        while await self._reader.read(65536):
            pass

    def reset(self) -> None:
        """Send RST instead of closing in order."""
        sock: socket.socket = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


THIS_MACHINE = [
    *("127.0.0.1", "127.0.0.2", "127.1.2.3", "0.0.0.0", "::1", "::"),
    *("::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:127.0.0.2", "::ffff:7f00:2"),
    *(f"127.0.1.{n}" for n in range(32)),
]
"""For `allow_hosts`, in tests of connections that must not be attempted: the test run's guard would
stop them before a server could count them."""

Behaviour = Callable[[Connection], Awaitable[None]]


def http_answer(
    status: int,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    length: int | None = None,
) -> bytes:
    """The bytes of an answer; `length` is a false Content-Length."""
    lines = [
        f"HTTP/1.1 {status} Whatever",
        f"Content-Length: {len(body) if length is None else length}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answer(
    status: int,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    length: int | None = None,
) -> Behaviour:
    """Read the request and answer it. A `length` above the body's makes an incomplete answer."""
    return send_raw(http_answer(status, body, headers, length))


def send_raw(raw: bytes) -> Behaviour:
    """Read the request, send `raw`, close."""

    async def behave(connection: Connection) -> None:
        await connection.receive()
        await connection.send(raw)

    return behave


def stall_after(raw: bytes) -> Behaviour:
    """Read the request, send `raw`, then stay open and silent."""

    async def behave(connection: Connection) -> None:
        await connection.receive()
        await connection.send(raw)
        await connection.until_client_leaves()

    return behave


def answer_each(raw: bytes) -> Behaviour:
    """Answer each request on a connection."""

    async def behave(connection: Connection) -> None:
        while True:
            await connection.receive()
            await connection.send(raw)

    return behave


def flooding(start: bytes, piece: bytes) -> Behaviour:
    """Read the request, send `start`, then `piece` repeatedly until the client disconnects."""

    async def behave(connection: Connection) -> None:
        await connection.receive()
        await connection.send(start)
        block = piece * (64 * 1024 // len(piece))
        while True:
            await connection.send(block)

    return behave


async def close_at_once(connection: Connection) -> None:
    """Accept the connection, and close it."""


async def stay_silent(connection: Connection) -> None:
    """Read everything and never answer, not even a TLS hello."""
    await connection.until_client_leaves()


async def close_after_request(connection: Connection) -> None:
    """Read the request and close in order."""
    await connection.receive()


async def reset_after_request(connection: Connection) -> None:
    """Read the request and reset the connection."""
    await connection.receive()
    connection.reset()


@asynccontextmanager
async def faulty_server(
    behaviour: Behaviour,
    tls: ssl.SSLContext | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    cut: bool = False,
) -> AsyncIterator[FaultyServer]:
    """Run a server that handles every connection with `behaviour`; port 0 picks a free one. With
    `cut`, leaving the block aborts the connections that are left."""
    server = FaultyServer(host=host)

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        await behaviour(Connection(server, reader, writer))

    async with tcp_server(play, host=host, port=port, tls=tls) as listening:
        server.port, server.empty = listening.port, listening.empty
        scheme = "http" if tls is None else "https"
        server.url = f"{scheme}://{host}:{server.port}/v1/video/"
        yield server
        if not cut:
            await listening.empty.wait()


@asynccontextmanager
async def full_backlog(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """The base URL of a port that never accepts: connecting to it just hangs."""
    with socket.socket() as listener:
        listener.bind((host, port))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        try:
            for client in waiting:
                client.setblocking(False)
                client.connect_ex(address)
            yield f"http://{host}:{address[1]}/v1/video/"
        finally:
            for client in waiting:
                client.close()


def refused_url() -> str:
    """A base URL on a port where nobody listens."""
    return f"http://127.0.0.1:{free_port()}/v1/video/"
