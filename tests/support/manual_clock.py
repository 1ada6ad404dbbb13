"""A clock that a test moves."""

from store.records.times import Millis

START: Millis = 1_767_323_045_678


class ManualClock:
    """Stands still until `advance`; a sleep advances it."""

    def __init__(self, start: Millis = START) -> None:
        self.passed: Millis = 0
        self.wall_start = start
        """Change it to set the wall clock; the monotonic clock does not follow."""

    def now(self) -> Millis:
        return self.wall_start + self.passed

    def monotonic(self) -> float:
        return 1_000.0 + self.passed / 1_000

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self.passed += round(seconds * 1_000)
