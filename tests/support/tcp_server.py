"""A TCP server for a test that shuts down cleanly: no handler and no socket outlives its block."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Handles one connection, which is closed when the handler returns."""

_GONE = (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError)


@dataclass(frozen=True, slots=True)
class TcpServer:
    """The server's address, and whether a client is connected."""

    port: int
    empty: asyncio.Event
    """Set while no client is connected."""


@asynccontextmanager
async def tcp_server(
    handler: Handler, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[TcpServer]:
    """Handle every connection with `handler` until the block is left, then abort those that are
    open.

    A client may disconnect before its handler has ended. Any other error in a handler is raised at
    the end of the block.
    """
    empty = asyncio.Event()
    empty.set()
    connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
    failures: list[BaseException] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(*_GONE):
            await handler(reader, writer)
            writer.close()
            await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not listening.is_serving():
            writer.transport.abort()  # its TLS handshake was not done when the listener closed
            return
        task = asyncio.create_task(serve(reader, writer))
        connections[task] = writer
        empty.clear()
        task.add_done_callback(leave)

    def leave(task: asyncio.Task[None]) -> None:
        # Not in `serve`: a task that is cancelled before its first step has run none of its code. A
        # transport that closed by itself, once its buffer was empty, cannot be aborted.
        # In a variable: Python 3.13 warns if a writer is dropped while its transport is open.
        writer = connections.pop(task)
        with suppress(AttributeError):
            writer.transport.abort()
        if not task.cancelled() and (error := task.exception()) is not None:
            failures.append(error)
        if not connections:
            empty.set()

    listening = await asyncio.start_server(accept, host, port, ssl=tls)
    try:
        yield TcpServer(listening.sockets[0].getsockname()[1], empty)
    finally:
        await _stop_accepting(*listening.sockets)
        listening.close()
        left = dict(connections)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        closing = (writer.wait_closed() for writer in left.values())
        await asyncio.gather(*closing, return_exceptions=True)
        # Aborted connections may have failed too: asyncio calls `leave` before it resumes the
        # code that awaits the task.
        for failure in failures:
            raise failure


async def _stop_accepting(*listeners: socket.socket) -> None:
    """Stop accepting, and let the connections that were just accepted reach their protocols.

    An asyncio server that closes between the two loses the connection: the socket stays open until
    it is garbage collected, and the client waits (python/cpython#109564).
    """
    for listener in listeners:
        asyncio.get_running_loop().remove_reader(listener)
    await asyncio.sleep(0)  # the connection gets its transport
    await asyncio.sleep(0)  # and its protocol
