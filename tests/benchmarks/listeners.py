"""Readers of event streams that cost little: raw HTTP/1.1 over asyncio, and frames that are counted
without being parsed."""

import asyncio
import re
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from tests.benchmarks.sender import Sender, request

_UPDATED_AT = re.compile(rb'"updated_at":"([^"]+)"')
_EVENT = b"event: update"
_LAST_CHUNK = b"\r\n0\r\n\r\n"
_TINY = 4096


@dataclass(frozen=True, slots=True)
class Source:
    """One stream that can be opened."""

    port: int
    path: str
    headers: str = ""

    @property
    def request(self) -> bytes:
        return request("GET", self.path, headers=self.headers)


@dataclass
class Tally:
    """What all listeners of a run have seen together."""

    events: int = 0
    open: int = 0
    ended_cleanly: int = 0
    lags: list[float] = field(default_factory=list, repr=False)
    """Seconds from an event's own time to its arrival, where they are asked for."""
    _waiting: tuple[Callable[[], bool], asyncio.Future[None]] | None = None

    async def until(self, enough: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until it is so. Raises TimeoutError."""
        if not enough():
            done = asyncio.get_running_loop().create_future()
            self._waiting = (enough, done)
            async with asyncio.timeout(seconds):
                await done

    def changed(self) -> None:
        if self._waiting is not None and self._waiting[0]():
            self._waiting[1].set_result(None)
            self._waiting = None


class Listener(asyncio.Protocol):
    """One open stream."""

    def __init__(self, source: Source, tally: Tally, *, timed: bool, stalled: bool) -> None:
        self._source = source
        self._tally = tally
        self._timed = timed
        self._stalled = stalled
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._source.request)

    def data_received(self, data: bytes) -> None:
        seen = self._tail + data
        if not self._tail:
            assert seen.startswith(b"HTTP/1.1 200"), seen[:500]
            self._tally.open += 1
            if self._stalled:
                self.transport.pause_reading()
        self._tally.events += seen.count(_EVENT)
        if self._timed and _EVENT in seen:
            now = time.time()
            for at in _UPDATED_AT.findall(seen):
                self._tally.lags.append(now - datetime.fromisoformat(at.decode()).timestamp())
        # Too short to hold a whole one, so that none is counted twice.
        self._tail = seen[-(len(_EVENT) - 1) :]
        self._tally.changed()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None and self._tail.endswith(_LAST_CHUNK):
            self._tally.ended_cleanly += 1
        self._tally.open -= 1
        self._tally.changed()


class Audience:
    """Many listeners."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._listeners: list[Listener] = []

    async def open(
        self, sources: Sequence[Source], *, timed: bool = False, stalled: bool = False
    ) -> None:
        """Open the streams, a few at once, and wait until each has begun."""
        places = asyncio.Semaphore(200)

        async def one(source: Source) -> None:
            async with places:
                self._listeners.append(
                    await _connected(
                        source,
                        lambda: Listener(source, self.tally, timed=timed, stalled=stalled),
                        small=stalled,
                    )
                )

        wanted = self.tally.open + len(sources)
        await asyncio.gather(*map(one, sources))
        await self.tally.until(lambda: self.tally.open >= wanted)

    async def close(self) -> None:
        for listener in self._listeners:
            listener.transport.abort()
        await self.tally.until(lambda: self.tally.open == 0)


async def _connected(source: Source, make: Callable[[], Listener], small: bool) -> Listener:
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    connection.setblocking(False)
    if small:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _TINY)
    await loop.sock_connect(connection, ("127.0.0.1", source.port))
    _, listener = await loop.create_connection(make, sock=connection)
    return listener


async def publish(sender: Sender, request: bytes) -> None:
    """Send one, and wait for its 2xx."""
    exchange = await sender.ask(request)
    assert 200 <= exchange.status < 300, exchange


async def at_rate(
    send: Callable[[int], Awaitable[None]], rate: float, count: int, lanes: int = 1
) -> None:
    """Call `send` with 0, 1, 2 …, so many a second, as many at once as there are lanes."""
    began = time.perf_counter()

    async def lane(first: int) -> None:
        for index in range(first, count, lanes):
            await asyncio.sleep(began + index / rate - time.perf_counter())
            await send(index)

    await asyncio.gather(*map(lane, range(lanes)))
