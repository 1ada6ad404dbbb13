"""Whether another process has committed: asked once a second, in case a notification was lost.

PostgreSQL's snapshots say which transactions have ended. What has ended between two of them and is
none of ours was somebody else's: perhaps the server's own, which costs a look at the store and no
more. Nothing has to be written for this, and nothing that commits is missed, in whatever order.
"""

from dataclasses import dataclass

MANY = 10_000
"""Transactions between two looks beyond which nobody counts: somebody has written."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`pg_current_snapshot()`: those below `end` have ended, but for those that run."""

    begin: int
    end: int
    running: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> "Snapshot":
        begin, end, running = text.split(":")
        return cls(int(begin), int(end), frozenset(map(int, filter(None, running.split(",")))))

    def ended_since(self, before: "Snapshot") -> set[int]:
        """What has ended since then."""
        return {*before.running, *range(before.end, self.end)} - self.running


class Elsewhere:
    """Our own transactions, and how far we have looked."""

    def __init__(self) -> None:
        self._own: set[int] = set()
        self._seen: Snapshot | None = None

    def own(self, transaction: int) -> None:
        """Note one of ours, before it commits. Called from any thread."""
        self._own.add(transaction)

    def changed(self, snapshot: Snapshot) -> bool:
        """Whether somebody else has ended a transaction since the last time; at first, no."""
        before, self._seen = self._seen, snapshot
        if before is None:
            return False
        if snapshot.end - before.end > MANY:
            changed = True
        else:
            changed = not snapshot.ended_since(before) <= self._own
        self._own -= {each for each in tuple(self._own) if each < snapshot.begin}
        return changed
