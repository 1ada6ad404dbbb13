"""The clock that is passed to the parts of the service; some use the event loop's instead."""

import asyncio
import time
from typing import Protocol

from store.records.times import Millis


class Clock(Protocol):
    """The current time. Tests and the simulation pass their own clock."""

    def now(self) -> Millis:
        """Milliseconds since the Unix epoch; jumps when the machine's clock is set."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump, for intervals and rates within one process."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        ...


class SystemClock:
    def now(self) -> Millis:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
