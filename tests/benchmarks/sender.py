"""A raw HTTP/1.1 client over keep-alive connections, for load generators and for a provider's
callbacks: cheap enough not to distort the measurement. Answers need a Content-Length."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import cast

TICK = 0.001
"""Seconds between checks of what is due."""


@dataclass(slots=True)
class Exchange:
    """One request and its result. Times are of `time.perf_counter`, which on Linux is the same
    clock in every process."""

    request: bytes
    answered: "Callable[[Exchange], None] | None" = None
    due_at: float = 0.0
    sent_at: float = 0.0
    """0: it waits for a connection."""
    answered_at: float = 0.0
    """When the answer was complete, or the connection was lost."""
    status: int = 0
    """0: there was no complete answer."""
    head: bytes = b""
    body: bytes = b""

    @property
    def late(self) -> float:
        """Seconds from the time it was due until it was sent: the load generator's own delay."""
        return self.sent_at - self.due_at

    @property
    def seconds(self) -> float:
        """From sending it to the end of its answer."""
        return self.answered_at - self.sent_at


def request(method: str, path: str, body: bytes = b"", headers: str = "") -> bytes:
    """The bytes of one request."""
    length = f"Content-Length: {len(body)}\r\n" if body or method == "POST" else ""
    return f"{method} {path} HTTP/1.1\r\nHost: bench\r\n{length}{headers}\r\n".encode() + body


async def paced(count: int, rate: float) -> AsyncIterator[tuple[int, float]]:
    """Yield each number from 0 when it is due, with the time it was due; late if the machine is
    busy."""
    began, sent = time.perf_counter(), 0
    while sent < count:
        due = min(int((time.perf_counter() - began) * rate), count)
        for number in range(sent, due):
            yield number, began + number / rate
        sent = due
        await asyncio.sleep(TICK)


class Sender:
    """Sends to a port of this machine over a limited number of connections. A request that finds
    none free waits in a queue."""

    def __init__(self, port: int, connections: int) -> None:
        self._port = port
        self._room = connections
        self._idle: set[_Connection] = set()
        self._busy: set[_Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._waiting: deque[Exchange] = deque()

    def send(
        self,
        request: bytes,
        answered: Callable[[Exchange], None] | None = None,
        due_at: float = 0.0,
    ) -> Exchange:
        """Send a request as soon as a connection is free. `answered` is called when it has its
        answer or has lost its connection."""
        exchange = Exchange(request, answered, due_at)
        self._waiting.append(exchange)
        self._go_on()
        return exchange

    async def ask(self, request: bytes) -> Exchange:
        """Send a request and wait for its answer."""
        done: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        self.send(request, done.set_result)
        return await done

    def drop_waiting(self) -> None:
        """Drop the requests that wait for a connection."""
        self._waiting.clear()

    def close(self) -> None:
        self.drop_waiting()
        for task in self._opening:
            task.cancel()
        for connection in [*self._idle, *self._busy]:
            connection.transport.abort()

    def free(self, connection: "_Connection") -> None:
        """A connection has become free."""
        self._busy.discard(connection)
        self._idle.add(connection)
        self._go_on()

    def lost(self, connection: "_Connection") -> None:
        self._busy.discard(connection)
        self._idle.discard(connection)
        self._room += 1
        self._go_on()

    def _go_on(self) -> None:
        """Give what waits to free connections, and open another one for the rest."""
        while self._waiting and self._idle:
            connection = self._idle.pop()
            self._busy.add(connection)
            connection.send(self._waiting.popleft())
        if len(self._waiting) > len(self._opening) and self._room:
            self._room -= 1
            task = asyncio.ensure_future(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: _Connection(self), "127.0.0.1", self._port
            )
        except OSError:
            self._room += 1


class _Connection(asyncio.Protocol):
    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._buffer = b""
        self._exchange: Exchange | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport has every method of asyncio's, but is no subclass of it.
        self.transport = cast(asyncio.Transport, transport)
        self._sender.free(self)

    def send(self, exchange: Exchange) -> None:
        self._exchange = exchange
        exchange.sent_at = time.perf_counter()
        self.transport.write(exchange.request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        exchange = self._exchange
        if not end or exchange is None or len(body) < content_length(head):
            return
        self._buffer = b""
        self._exchange = None
        exchange.status, exchange.head, exchange.body = int(head[9:12]), head, body
        exchange.answered_at = time.perf_counter()
        if b"connection: close" in head.lower():
            self.transport.close()
        else:
            self._sender.free(self)
        if exchange.answered is not None:
            exchange.answered(exchange)

    def connection_lost(self, exc: Exception | None) -> None:
        self._sender.lost(self)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.answered_at = time.perf_counter()
            if exchange.answered is not None:
                exchange.answered(exchange)


def content_length(head: bytes) -> int:
    """The Content-Length of the head; 0 if it has none."""
    _, found, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0
