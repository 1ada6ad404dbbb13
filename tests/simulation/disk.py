"""The store's writer and readers on virtual time: the same batches, the same SQL, no threads.

The thread hops of the real ones become pauses of random length, so whatever can happen between two
hops of a thread can happen here. A process may die at a commit: just before it (the transaction is
gone) or just after (it is there, and nobody was told).
"""

import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, TypeVar, cast

from store.contract import Changes
from store.errors import StoreBusy, StoreUnavailable
from store.relational.session import Bound, Outcome, Row, tell
from store.sqlite.batches import BatchRunner, Work
from store.sqlite.connection import uri
from store.sqlite.failures import translated
from tests.simulation.loop import Killed, loop_of_world, settle

T = TypeVar("T")

PAUSES = (0.0, 0.0, 0.0005, 0.002, 0.004)
"""Seconds that a hop takes, one of them at random."""
SLOW_PAUSES = (0.05, 0.3)
SLOW_SHARE = 0.01
STALE_SHARE = 0.3
"""Of the reads, those whose caller goes on a while after the reading."""


class Disk:
    """One database file, what is wrong with it, and when its process is to die at it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.full_until = 0.0
        """Loop time until which no commit succeeds."""
        self.watch: Callable[[Changes | None], None] = lambda _: None
        """Looks at the database after each commit, before anybody is told of it; None where what
        changed is not known, since the process that knew is dead."""


class Doom:
    """When one process is to die at a commit."""

    def __init__(self) -> None:
        self.at_commit: int | None = None
        """After so many more commits."""
        self.before = False
        """Whether that commit is lost."""
        self.strike: Callable[[], None] = lambda: None
        """Ends the process."""


class InlineWriter:
    """`store.relational.writer.Writer`, one batch after the other on virtual time."""

    def __init__(self, disk: Disk, doom: Doom, random: Random) -> None:
        self.on_change: Callable[[Changes], None] = lambda _: None
        self._disk = disk
        self._doom = doom
        self._random = random
        self._runner = BatchRunner(self._connect)
        self._urgent: list[tuple[Work[Any], Any]] = []
        self._background: list[tuple[Work[Any], Any]] = []
        self._scheduled = False
        self._closed = False

    @property
    def full(self) -> bool:
        return len(self._urgent) >= 500

    def urgent(self, work: Work[T]) -> Awaitable[T]:
        return self._enqueue(self._urgent, work)

    def background(self, work: Work[T]) -> Awaitable[T]:
        return self._enqueue(self._background, work)

    def _enqueue(self, queue: list[tuple[Work[Any], Any]], work: Work[T]) -> Awaitable[T]:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if len(queue) >= 500:
            raise StoreBusy("too many writes wait")
        future = loop_of_world().create_future()
        queue.append((work, future))
        self._schedule()
        return cast(Awaitable[T], future)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            loop_of_world().hop(pause(self._random), self._run_batch)

    def _run_batch(self) -> None:
        self._scheduled = False
        most = self._random.choice((1, 2, 8, 256))
        batch = [*_take(self._urgent, most), *_take(self._background, max(1, most // 2))]
        if not batch:
            return
        try:
            outcomes, changes = self._runner.run([work for work, _ in batch])
        except Killed:
            self._doom.strike()
            self._disk.watch(None)
            raise
        self._disk.watch(changes)
        if self._urgent or self._background:
            self._schedule()
        # The thread has committed; its callers hear of it a little later.
        loop_of_world().hop(pause(self._random), self._answer, batch, outcomes, changes)

    def _answer(
        self,
        batch: list[tuple[Work[Any], Any]],
        outcomes: list[Outcome[object]],
        changes: Changes,
    ) -> None:
        changes.jobs, changes.due = _Sorted(changes.jobs), _Sorted(changes.due)
        self.on_change(changes)
        for (_, caller), outcome in zip(batch, outcomes, strict=True):
            tell(caller, outcome)

    async def close(self) -> None:
        self._closed = True
        while self._urgent or self._background:
            self._run_batch()
        self._runner.close()

    def abandon(self) -> None:
        """The process is dead: what was open is rolled back, as by the next who opens the file."""
        self._runner.close()

    # --- the connection ---------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        writer = self

        class Connection(sqlite3.Connection):
            def commit(self) -> None:
                writer._commit(super().commit)

        return connect(self._disk.path, Connection)

    def _commit(self, commit: Callable[[], None]) -> None:
        if self._disk.full_until > loop_of_world().time():
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            error.sqlite_errorname = "SQLITE_FULL"
            raise error
        doom = self._doom
        dies = doom.at_commit == 0
        if doom.at_commit is not None:
            doom.at_commit -= 1
        if dies and doom.before:
            raise Killed
        commit()
        if dies:
            raise Killed


class InlineReaders:
    """`Readers`: what a read sees may be old by the time its caller goes on."""

    def __init__(self, disk: Disk, random: Random) -> None:
        self._connection = connect(disk.path)
        self._random = random

    async def fetch(self, sql: str, parameters: Bound) -> list[Row]:
        await self._hop()
        with translated():
            rows = self._connection.execute(sql, cast(Any, parameters)).fetchall()
        if self._random.random() < STALE_SHARE:
            await self._hop()
        return rows

    async def _hop(self) -> None:
        loop = loop_of_world()
        arrived = loop.create_future()
        loop.hop(pause(self._random), settle, arrived)
        await arrived

    async def close(self) -> None:
        self._connection.close()

    def abandon(self) -> None:
        self._connection.close()


class _Sorted(set[Any]):
    """A set of texts whose order does not depend on the process's hash seed."""

    def __iter__(self) -> Iterator[Any]:
        return iter(sorted(super().__iter__()))


def pause(random: Random) -> float:
    """How long one hop to a thread takes, in seconds."""
    if random.random() < SLOW_SHARE:
        return random.choice(SLOW_PAUSES)
    return random.choice(PAUSES)


def connect(
    path: Path, factory: type[sqlite3.Connection] = sqlite3.Connection
) -> sqlite3.Connection:
    """A connection as the service's own, but for the sync: processes die here, machines do not."""
    connection = sqlite3.connect(
        uri(path), uri=True, isolation_level=None, cached_statements=256, factory=factory
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _take(queue: list[tuple[Work[Any], Any]], places: int) -> list[tuple[Work[Any], Any]]:
    taken, queue[:] = queue[:places], queue[places:]
    return taken
