"""Detects commits by other processes. Checked every second, in case a notification was lost.

PostgreSQL's snapshots say which transactions have ended. One that ended between two snapshots and
is not ours was another process's, or the server's own, which costs one needless look at the store.
This needs no writes and misses no commit, whatever the order.
"""

from dataclasses import dataclass

MANY = 10_000
"""With more transactions than this between two snapshots, a foreign commit is assumed."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`pg_current_snapshot()`: transactions below `end` have ended, except those running."""

    begin: int
    end: int
    running: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> "Snapshot":
        begin, end, running = text.split(":")
        return cls(int(begin), int(end), frozenset(map(int, filter(None, running.split(",")))))

    def ended_since(self, before: "Snapshot") -> set[int]:
        """Transactions that have ended since then."""
        return {*before.running, *range(before.end, self.end)} - self.running


class ForeignCommits:
    """Our own transactions and the last snapshot seen."""

    def __init__(self) -> None:
        self._own: set[int] = set()
        self._seen: Snapshot | None = None

    def own(self, transaction: int) -> None:
        """Record one of our transactions before it commits. May be called from any thread."""
        self._own.add(transaction)

    def changed(self, snapshot: Snapshot) -> bool:
        """Whether another process has ended a transaction since the last call; False at first."""
        before, self._seen = self._seen, snapshot
        if before is None:
            return False
        if snapshot.end - before.end > MANY:
            changed = True
        else:
            changed = not snapshot.ended_since(before) <= self._own
        self._own -= {each for each in tuple(self._own) if each < snapshot.begin}
        return changed
