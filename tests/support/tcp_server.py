"""A TCP server of a test's own that ends in order: no handler and no socket outlives its block."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Meets one connection, which is closed when it returns."""

_GONE = (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError)


@dataclass(frozen=True, slots=True)
class TcpServer:
    """Where it listens, and whether somebody is there."""

    port: int
    empty: asyncio.Event
    """Set while nobody is connected."""


@asynccontextmanager
async def tcp_server(
    handler: Handler, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[TcpServer]:
    """Meet every connection with `handler` until the block is left; then cut those that are left.

    A client may go before its handler has ended. Whatever else a handler raises, the end of the
    block raises.
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
            writer.transport.abort()  # its TLS was not ready as the listener closed
            return
        task = asyncio.create_task(serve(reader, writer))
        connections[task] = writer
        empty.clear()
        task.add_done_callback(leave)

    def leave(task: asyncio.Task[None]) -> None:
        # Not in `serve`: a task that is cancelled before its first step has run nothing of it.
        # A transport that has closed by itself, once its buffer was empty, cannot be aborted.
        with suppress(AttributeError):
            connections.pop(task).transport.abort()
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
        # Of those left, too: asyncio calls `leave` before it wakes who waits for a task.
        for failure in failures:
            raise failure


async def _stop_accepting(*listeners: socket.socket) -> None:
    """Take no more connections, and let those come to their protocols that have just been taken.

    A server of asyncio that closes between the two loses the connection: its socket stays open
    until it is collected as garbage, and its client waits (python/cpython#109564).
    """
    for listener in listeners:
        asyncio.get_running_loop().remove_reader(listener)
    await asyncio.sleep(0)  # the connection has its transport
    await asyncio.sleep(0)  # and its protocol
