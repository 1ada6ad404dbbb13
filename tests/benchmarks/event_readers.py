"""Cheap readers of event streams: raw HTTP/1.1 over asyncio."""

import asyncio
from collections.abc import Callable

from tests.benchmarks.sender import request
from tests.support.service import eventually

_EVENT = b"event: update"


class EventReader(asyncio.Protocol):
    """One open stream. `received` gets each piece that arrives."""

    def __init__(self, received: Callable[[bytes], None]) -> None:
        self._received = received
        self._begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def open(self, port: int, path: str, headers: str) -> None:
        """Open the stream, and wait for the first bytes."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: self, "127.0.0.1", port)
        transport.write(request("GET", path, headers=headers))
        self.close = transport.abort
        await self._begun

    def data_received(self, data: bytes) -> None:
        if not self._begun.done():
            assert data.startswith(b"HTTP/1.1 200"), data[:500]
            self._begun.set_result(None)
        self._received(data)


class EventCount:
    """Many readers of one stream, which count events without parsing them."""

    def __init__(self) -> None:
        self.events = 0
        """How many events all of them have received together."""
        self._readers: list[EventReader] = []

    async def open(self, streams: int, port: int, path: str, headers: str) -> None:
        """Open this many streams, a few at once, and wait until each has begun."""
        places = asyncio.Semaphore(200)

        async def one() -> None:
            async with places:
                reader = EventReader(self._counter())
                await reader.open(port, path, headers)
                self._readers.append(reader)

        await asyncio.gather(*(one() for _ in range(streams)))

    async def until(self, events: int) -> None:
        """Wait until this many events have come."""

        async def seen() -> int:
            return self.events

        await eventually(seen, events.__eq__, "the events", timeout=60)

    def close(self) -> None:
        for reader in self._readers:
            reader.close()

    def _counter(self) -> Callable[[bytes], None]:
        tail = b""

        def count(data: bytes) -> None:
            nonlocal tail
            seen = tail + data
            self.events += seen.count(_EVENT)
            # Too short to contain `_EVENT`, so that none is counted twice.
            tail = seen[-(len(_EVENT) - 1) :]

        return count
