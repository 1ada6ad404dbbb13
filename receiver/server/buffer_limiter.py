"""Bounds how much is buffered for clients that do not read it, and for how long."""

import asyncio
from collections.abc import Collection
from typing import Final, Protocol

LARGE: Final = 64 * 1024
"""Bytes. A response that leaves less in its buffer is not counted between two checks."""
MAX_UNSENT: Final = 128 * 1024 * 1024
"""Bytes buffered for all clients together; beyond them the slowest are cut off."""
STALLED_SECONDS: Final = 60.0
"""How long a client may read nothing of a buffered response."""


class Client(Protocol):
    """A connection to a client."""

    transport: asyncio.Transport
    unsent: tuple[int, float]
    """Bytes buffered for it at the last check, or 0 if nothing waited for it to read; and the loop
    time of the last check at which nothing waited, or the number had changed."""


def has_stalled(client: Client, must_read: bool, now: float) -> bool:
    """Update `unsent`; returns whether the client, which must read before anything else can happen,
    has read nothing for too long."""
    if not must_read:
        client.unsent = (0, now)
        return False
    waiting = client.transport.get_write_buffer_size()
    last, since = client.unsent
    # The application writes no more while it is paused, but a download fills the buffer again as
    # often as its client has read some of it.
    if waiting != last:
        client.unsent = (waiting, now)
        return False
    return now - since > STALLED_SECONDS


class WriteBufferLimiter:
    def __init__(self, clients: Collection[Client]) -> None:
        """`clients` is a live view of all connections."""
        self._clients = clients
        self._written = 0
        """Bytes that large responses have left in buffers since the last check."""

    def wrote(self, size: int) -> None:
        """Count `size` bytes that a response has left in a client's buffer."""
        if size > LARGE:
            self._written += size
            if self._written > MAX_UNSENT // 4:
                self.check()

    def check(self) -> None:
        """If too much is buffered, cut off clients until it is not: first those that have read
        nothing for longest, and among these the one with the most bytes."""
        self._written = 0
        sizes = {each: each.transport.get_write_buffer_size() for each in self._clients}
        excess = sum(sizes.values()) - MAX_UNSENT
        waiting = filter(sizes.get, sizes)
        for client in sorted(waiting, key=lambda each: (each.unsent[1], -sizes[each])):
            if excess <= 0:
                return
            client.transport.abort()
            excess -= sizes[client]
