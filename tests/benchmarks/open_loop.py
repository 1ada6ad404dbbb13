"""A load that does not wait for answers: each request is sent when it is due, however many are
still unanswered, as the clients of a service that is too slow do.

Meant for a process of its own (see `flood`), so that it is not slowed down by whoever measures.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import uvloop

from receiver.server.listener import allow_many_connections

TICK = 0.002
"""Seconds between looks at what is due."""


@dataclass(slots=True)
class Exchange:
    """One request's fate."""

    status: int = 0
    """0: there was no whole answer."""
    late: float = 0.0
    """Seconds from the moment that it was due until it was sent: the load's own fault."""
    seconds: float = 0.0
    """From sending it to the end of its answer."""
    head: bytes = b""
    body: bytes = b""


def flood(
    port: int, requests: Sequence[bytes], rate: float, connections: int, patience: float
) -> list[Exchange]:
    """Send so many requests a second and wait `patience` seconds for the last answers; what became
    of each, in order. A request has an idle connection, or a new one while there are fewer than
    `connections`; one that then has none is due all the same."""
    allow_many_connections()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Flood(port, requests, rate, connections).run(patience))


class _Flood:
    def __init__(self, port: int, requests: Sequence[bytes], rate: float, connections: int) -> None:
        self.requests = requests
        self.exchanges = [Exchange() for _ in requests]
        self.idle: list[_Connection] = []
        self.unanswered = len(requests)
        self.over = asyncio.Event()
        self._port = port
        self._rate = rate
        self._room = connections
        self._began = 0.0
        self._next = 0
        self._opening: set[asyncio.Task[None]] = set()

    async def run(self, patience: float) -> list[Exchange]:
        # What has no answer in the end says so by its status.
        with suppress(TimeoutError):
            async with asyncio.timeout(len(self.requests) / self._rate + patience):
                await self._send_all()
                await self.over.wait()
        for task in self._opening:
            task.cancel()
        return self.exchanges

    async def _send_all(self) -> None:
        self._began = time.perf_counter()
        while self._next < len(self.requests):
            due = min(int((time.perf_counter() - self._began) * self._rate), len(self.requests))
            while self._next < due and (self.idle or self._room):
                self._send(self._next)
                self._next += 1
            await asyncio.sleep(TICK)

    def _send(self, index: int) -> None:
        if self.idle:
            self.idle.pop().send(index)
            return
        self._room -= 1
        task = asyncio.ensure_future(self._connect(index))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _connect(self, index: int) -> None:
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: _Connection(self, index), "127.0.0.1", self._port
            )
        except OSError:
            self.lost(index)

    def answered(self, index: int, head: bytes, body: bytes) -> None:
        exchange = self.exchanges[index]
        exchange.status = int(head[9:12])
        exchange.seconds = self.lateness(index) - exchange.late
        exchange.head, exchange.body = head, body
        self._count()

    def lateness(self, index: int) -> float:
        """Seconds since a request was due."""
        return time.perf_counter() - self._began - index / self._rate

    def lost(self, index: int | None) -> None:
        """A connection has ended, under a request or without one."""
        self._room += 1
        if index is not None:
            self._count()

    def _count(self) -> None:
        self.unanswered -= 1
        if not self.unanswered:
            self.over.set()


class _Connection(asyncio.Protocol):
    def __init__(self, flood: _Flood, index: int) -> None:
        self._flood = flood
        self._buffer = b""
        self._index: int | None = index

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's own is a transport in all but its base class.
        self._transport = cast(asyncio.Transport, transport)
        if self._index is not None:
            self.send(self._index)

    def send(self, index: int) -> None:
        self._index = index
        self._flood.exchanges[index].late = self._flood.lateness(index)
        self._transport.write(self._flood.requests[index])

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end or self._index is None:
            return
        lower = head.lower()
        at = lower.index(b"content-length:") + 15
        if len(body) < int(lower[at:].partition(b"\r\n")[0]):
            return
        self._buffer = b""
        index, self._index = self._index, None
        self._flood.answered(index, head, body)
        if b"connection: close" in lower:
            self._transport.close()
        else:
            self._flood.idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._flood.idle:
            self._flood.idle.remove(self)
        self._flood.lost(self._index)
