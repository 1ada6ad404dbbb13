"""Sends heartbeats to the open streams, and ends those whose key was revoked."""

from collections.abc import Iterable
from itertools import takewhile

from receiver.clock import Clock
from receiver.streams.reader import Reader
from store.database import Store

MIN_PAUSE_SECONDS = 0.05
"""Minimum pause between two rounds: heartbeats that become due within it are sent together."""


class Heartbeats:
    """Each reader's interval starts when it connects, so that a thousand do not make a burst."""

    def __init__(self, store: Store, clock: Clock, interval: float) -> None:
        """`interval` is in seconds."""
        self._store = store
        self._clock = clock
        self._interval = interval
        self._next: dict[Reader, float] = {}
        """The time of each reader's next heartbeat, the earliest first."""

    @property
    def readers(self) -> Iterable[Reader]:
        """All open streams."""
        return self._next.keys()

    def add(self, reader: Reader) -> None:
        """Schedule the reader's next heartbeat."""
        self._next.pop(reader, None)
        self._next[reader] = self._clock.monotonic() + self._interval

    def remove(self, reader: Reader) -> None:
        """Forget a reader whose stream has ended."""
        del self._next[reader]

    async def run(self) -> None:
        """Send every reader a heartbeat once per interval; runs as long as the service. It never
        waits for the store: proxies end streams that are silent, during an outage too."""
        shortest = min(self._interval, MIN_PAUSE_SECONDS)
        while True:
            now = self._clock.monotonic()
            first = next(iter(self._next.values()), now + self._interval)
            await self._clock.sleep(max(first - now, shortest))
            for reader in self._due():
                self.add(reader)
                reader.beat()

    async def end_revoked(self) -> None:
        """End the streams whose key was revoked, within an interval; runs as long as the
        service."""
        while True:
            await self._clock.sleep(self._interval / 2)  # reading many keys takes time too
            for key_hash in {reader.key_hash for reader in self.readers}:
                key = await self._store.keys.find(key_hash)
                if key is None or key.revoked_at is not None:
                    self._end(key_hash)

    def _due(self) -> list[Reader]:
        now = self._clock.monotonic()
        return list(takewhile(lambda reader: self._next[reader] <= now, self._next))

    def _end(self, key_hash: str) -> None:
        for reader in self.readers:
            if reader.key_hash == key_hash:
                reader.end()
