"""Detects commits by other processes. Checked every second, in case a notification was lost.

PostgreSQL's snapshots say which transactions have ended. One that ended between two snapshots and
was not recorded as ours was another process's. Or it was the server's own, or one of ours that was
rolled back: then the store is read once without need. This needs no writes, and misses no commit,
in whatever order transactions end.
"""

import re

MANY = 10_000
"""With more transactions than this between two snapshots, a foreign commit is assumed."""


class ForeignCommits:
    """Our own transactions and the last snapshot seen."""

    def __init__(self) -> None:
        self._own: set[int] = set()
        self._end: int | None = None
        """At the last snapshot, all transactions below this had ended, except `_running`."""
        self._running: set[int] = set()

    def record_own(self, transaction: int) -> None:
        """Record one of our transactions: a batch before it commits, a notification just after.
        May be called from any thread."""
        self._own.add(transaction)

    def changed(self, snapshot: str) -> bool:
        """Whether another process may have ended a transaction since the last call; False on the
        first call. `snapshot` is `pg_current_snapshot()`: the first running transaction, the end,
        and all running ones."""
        oldest, end, *running = map(int, re.findall("[0-9]+", snapshot))
        before, self._end = self._end, end
        ran, self._running = self._running, set(running)
        if before is None:
            return False
        many = end - before > MANY
        changed = many or not {*ran, *range(before, end)} - self._running <= self._own
        self._own -= {each for each in tuple(self._own) if each < oldest}
        return changed
