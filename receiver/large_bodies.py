"""Serialises the parsing of large bodies."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

from receiver.clock import Clock

LARGE: Final = 64 * 1024
"""Bytes. A larger body can take more than 50 ms of the event loop."""
MAX_LARGE: Final = 32
"""Maximum number of one sender's large bodies that wait or are being parsed."""


class TooManyLarge(Exception):
    """`MAX_LARGE` bodies of the sender are waiting or being parsed."""


class LargeBodies:
    """Lets large bodies be parsed one at a time, round-robin by sender. Each is followed by a pause
    as long as its parsing, so that parsing takes at most half of the time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: Counter[Hashable] = Counter()
        """By sender: those that wait or are being parsed."""
        self._sender_locks: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()
        self._lock = asyncio.Lock()
        self._next_at = 0.0
        """Monotonic time."""

    @asynccontextmanager
    async def turn(self, sender: Hashable) -> AsyncIterator[None]:
        """Wait for a turn of this sender: a user's id, or a provider's name.

        Raises:
            TooManyLarge: at once, if there are too many before it.
        """
        if self._waiting[sender] >= MAX_LARGE:
            raise TooManyLarge
        self._waiting[sender] += 1
        try:
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
        finally:
            self._waiting[sender] -= 1
            self._waiting += Counter()  # drops zero counts
