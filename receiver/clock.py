"""Time, passed in: what the service knows of it, and the machine's own."""

import asyncio
import time
from typing import Protocol

from store.records import Millis


class Clock(Protocol):
    """The time that a part is given. Tests and the simulation give a clock of their own."""

    def now(self) -> Millis:
        """Milliseconds since the Unix epoch; may step when the machine's clock is set."""
        ...

    def monotonic(self) -> float:
        """Seconds that never step, for gaps and rates within one process."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> Millis:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
