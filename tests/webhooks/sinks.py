"""Real servers on this machine that answer a webhook as they please."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.support.tcp_server import Handler, tcp_server

Behaviour = Handler
"""Answers one request whose head has been read; the connection is closed afterwards."""

THIS_MACHINE = [
    *("127.0.0.1", "127.0.0.2", "127.1.2.3", "0.0.0.0", "::1", "::"),
    *("::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:127.0.0.2", "::ffff:7f00:2"),
    *(f"127.0.1.{n}" for n in range(32)),
]
"""For `allow_hosts`, where a test is about connections that must not be tried: the guard of the
test run would stop them before the sinks could count them."""


@dataclass
class Sink:
    """A listening server, and what reached it."""

    host: str
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    """Head and body of each, as they came."""
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the first request."""
    empty: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while nobody is connected."""


@contextlib.asynccontextmanager
async def sink(
    behaviour: Behaviour,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Sink]:
    """Serve on `host`, every connection for as many requests as `behaviour` lets it live."""
    state = Sink(host)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state.connections += 1
        while not writer.is_closing():
            state.requests.append(await _request(reader))
            state.reached.set()
            await behaviour(reader, writer)

    async with tcp_server(serve, host=host, port=port, tls=tls) as server:
        state.port, state.empty = server.port, server.empty
        yield state


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    return head + await reader.readexactly(length)


def answering(answer: bytes, *, keep: bool = False) -> Behaviour:
    """Send `answer`, and close unless `keep`."""

    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        if not keep:
            writer.close()

    return behave


def flooding(start: bytes, piece: bytes) -> Behaviour:
    """Send `start`, then `piece` again and again until the other side has enough."""

    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        block = piece * (64 * 1024 // len(piece))
        while True:
            writer.write(block)
            await writer.drain()

    return behave


def hanging(start: bytes) -> Behaviour:
    """Send `start`, then nothing more, and leave the connection open."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        await writer.drain()
        await reader.read()

    return behave


async def resetting(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
