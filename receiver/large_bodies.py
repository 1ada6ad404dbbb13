"""Bounds what large request bodies cost: the memory that they take, and the time to parse them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final
from weakref import WeakValueDictionary

from receiver.clock import Clock

LARGE: Final = 64 * 1024
"""Bytes. A larger body can take more than 50 ms of the event loop. What it has beyond these counts
against the two limits below."""
MAX_BYTES: Final = 64 * 1024 * 1024
"""Of all bodies under way: those that are being received, wait for their turn, or are parsed."""
MAX_SENDER_BYTES: Final = 8 * 1024 * 1024
"""Of one sender's bodies under way."""
MAX_VALUES: Final = 50_000
"""JSON values of one body. To parse or encode more could take the GIL, and so hold the event loop,
for more than 50 ms."""


class LargeBodies:
    """The large bodies under way. A sender is an API key, or a callback's job; for turns, it may be
    something wider."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._bytes: Counter[Hashable] = Counter()
        """By sender; none has 0."""
        self._total = 0
        self._sender_locks: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()
        self._lock = asyncio.Lock()
        self._next_at = 0.0
        """Monotonic time."""

    @contextmanager
    def room(self, sender: Hashable) -> Iterator[Callable[[int], bool]]:
        """Room for one body while the block runs. What this yields is to be called with the body's
        new length before it grows, and says whether there is room for it."""
        taken = 0

        def grow_to(length: int) -> bool:
            nonlocal taken
            more = length - LARGE - taken
            if more > 0:
                if self._bytes[sender] + more > MAX_SENDER_BYTES or self._total + more > MAX_BYTES:
                    return False
                self._take(sender, more)
                taken += more
            return True

        try:
            yield grow_to
        finally:
            if taken:
                self._take(sender, -taken)

    def _take(self, sender: Hashable, more: int) -> None:
        self._total += more
        self._bytes[sender] += more
        if not self._bytes[sender]:
            del self._bytes[sender]

    @asynccontextmanager
    async def turn(self, sender: Hashable) -> AsyncIterator[None]:
        """Wait for a turn to parse a large body: one at a time, round-robin by sender. Each is
        followed by a pause as long as its parsing, which so takes at most half of the time."""
        async with self._sender_locks.setdefault(sender, asyncio.Lock()), self._lock:
            pause = self._next_at - self._clock.monotonic()
            if pause > 0:
                await self._clock.sleep(pause)
            began = self._clock.monotonic()
            try:
                yield
            finally:
                ended = self._clock.monotonic()
                self._next_at = ended + (ended - began)
