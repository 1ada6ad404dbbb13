"""Cheap readers of event streams: raw HTTP/1.1 over asyncio. Events are counted, not parsed."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from tests.benchmarks.sender import request
from tests.support.service import eventually

_EVENT = b"event: update"
_TINY = 4096


@dataclass(frozen=True, slots=True)
class Source:
    """One stream: its port, path and headers."""

    port: int
    path: str
    headers: str = ""

    @property
    def request(self) -> bytes:
        return request("GET", self.path, headers=self.headers)


class EventReader(asyncio.Protocol):
    """One open stream."""

    def __init__(self, source: Source, readers: "EventReaders", *, stalled: bool) -> None:
        self._source = source
        self._readers = readers
        self._stalled = stalled
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._source.request)

    def data_received(self, data: bytes) -> None:
        seen = self._tail + data
        if not self._tail:
            assert seen.startswith(b"HTTP/1.1 200"), seen[:500]
            self._readers.begun += 1
            if self._stalled:
                self.transport.pause_reading()
        self._readers.events += seen.count(_EVENT)
        # Too short to contain `_EVENT`, so that none is counted twice.
        self._tail = seen[-(len(_EVENT) - 1) :]


class EventReaders:
    """Many readers."""

    def __init__(self) -> None:
        self.begun = 0
        """How many streams have been opened."""
        self.events = 0
        """How many events all of them have received together."""
        self._all: list[EventReader] = []

    async def open(self, sources: Sequence[Source], *, stalled: bool = False) -> None:
        """Open the streams, a few at once, and wait until each has begun."""
        places = asyncio.Semaphore(200)

        async def one(source: Source) -> None:
            async with places:
                reader = EventReader(source, self, stalled=stalled)
                self._all.append(reader)
                await _connect(reader, source.port, small=stalled)

        wanted = self.begun + len(sources)
        await asyncio.gather(*map(one, sources))
        await self.until(lambda: self.begun >= wanted)

    async def until(self, enough: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until this holds; fail if it does not in this time."""

        async def has_enough() -> bool:
            return enough()

        await eventually(has_enough, bool, "the events", timeout=seconds)

    def close(self) -> None:
        for reader in self._all:
            reader.transport.abort()


async def _connect(reader: EventReader, port: int, *, small: bool) -> None:
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    connection.setblocking(False)
    if small:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _TINY)
    await loop.sock_connect(connection, ("127.0.0.1", port))
    await loop.create_connection(lambda: reader, sock=connection)
