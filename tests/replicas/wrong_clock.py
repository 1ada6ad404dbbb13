"""A clock that is wrong, for one process. The product knows nothing of this: the clock that it
passes to its parts is wrapped from here."""

from receiver.clock import SystemClock
from store.records import Millis


def set_clock(seconds: int) -> None:
    """Let this process's clock be wrong by so many seconds, ahead or behind."""
    right = SystemClock.now

    def now(clock: SystemClock) -> Millis:
        return right(clock) + seconds * 1_000

    SystemClock.now = now  # type: ignore[method-assign, assignment] # for this process
