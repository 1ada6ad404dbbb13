"""The store's writer and readers on virtual time: the same batches, the same SQL, no threads.

Where the real ones hand work to a thread, these pause for a random time, so everything that can
happen in between can happen here. A process may die at a commit: just before it (the transaction is
gone) or just after (it is stored, and no caller was told). And a commit's answer may be lost, as
with a connection to a database server: the data is stored, and its callers hear that the store
failed.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, TypeVar, cast

from store.changes import CommitNotice
from store.errors import OutcomeUnknown
from store.group_commit import GroupCommitWriter, Member
from store.session import Parameters, Row
from store.sqlite.batches import BatchRunner
from store.sqlite.connection import DecimalSum, uri
from store.sqlite.failures import translate_errors
from store.writer import Scope, Work
from tests.simulation.loop import running_loop
from tests.simulation.process import Killed
from tests.simulation.waits import Kind, Waits

T = TypeVar("T")

BATCH_SIZES = ((2, 2), (8, 4), (40, 16))
"""The largest numbers of urgent and of normal members in a batch; each process has one of them."""
COMMIT_SECONDS = 0.001
MEMBER_SECONDS = 100e-6
PAUSES = (0.0, 0.0, 0.0005, 0.002, 0.004)
"""Seconds that a hop to a thread takes; one of them is chosen at random."""
SLOW_PAUSES = (0.05, 0.3)
SLOW_SHARE = 0.01
LOST_SHARE = 0.5
"""While answers get lost: the share of commits that change a job whose callers hear that the store
failed."""
LOST_SHARE_OF_OTHERS = 0.05
STALE_SHARE = 0.3
"""The share of reads whose caller continues only some time after the read."""


class Disk:
    """One database file, and its present faults."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.full_until = 0.0
        """Loop time until which no commit succeeds."""
        self.answers_lost_until = 0.0
        """Loop time until which the answers of some commits are lost."""
        self.on_starvation: Callable[[Kind, float], None] = lambda _kind, _seconds: None
        """Called with the kind of work that waits too long while other work is served, and for how
        long."""
        self.after_commit: Callable[[CommitNotice | None], None] = lambda _: None
        """Looks at the database after each commit, before any caller hears of it. Gets None if the
        changes are not known because the process died."""

    @property
    def is_full(self) -> bool:
        return self.full_until > running_loop().time()


class CrashPoint:
    """When a process is to die at a commit."""

    def __init__(self) -> None:
        self.at_commit: int | None = None
        """The number of commits before it."""
        self.before = False
        """Whether the process dies before that commit, which is then lost."""
        self.crash: Callable[[], None] = lambda: None
        """Ends the process."""


class InlineWriter(GroupCommitWriter):
    """The real writer; its batches run on virtual time."""

    def __init__(self, disk: Disk, crash_point: CrashPoint, random: Random) -> None:
        super().__init__(self._commit_batch, members=random.choice(BATCH_SIZES))
        self._disk = disk
        self._crash_point = crash_point
        self._random = random
        self._runner = BatchRunner(self._connect)
        self._waits = Waits(disk.on_starvation)

    def urgent(self, work: Work[T], scope: Scope = None) -> Awaitable[T]:
        self._waits.add("urgent", work, running_loop().time())
        return super().urgent(work, scope)

    def normal(self, work: Work[T], scope: Scope = None) -> Awaitable[T]:
        self._waits.add("normal", work, running_loop().time())
        return super().normal(work, scope)

    async def _commit_batch(self, members: Sequence[Member]) -> CommitNotice:
        loop = running_loop()
        self._waits.take([member.work for member in members], loop.time())
        await loop.exact_sleep(pause(self._random))
        try:
            notice = self._runner.run(members)
        except Killed:
            self._crash_point.crash()
            self._disk.after_commit(None)
            raise
        self._disk.after_commit(notice)
        is_lost = self._loses_the_answer(notice)
        if is_lost:
            self._runner.close()  # the real runner closes the connection whenever a batch fails
        # It is committed; the callers hear of it after the time of a commit and a hop.
        took = COMMIT_SECONDS + len(members) * MEMBER_SECONDS
        await loop.exact_sleep(took + pause(self._random))
        if is_lost:
            raise OutcomeUnknown("the commit's answer was lost")
        notice.jobs, notice.users = _Sorted(notice.jobs), _Sorted(notice.users)
        return notice

    def _loses_the_answer(self, notice: CommitNotice) -> bool:
        if self._disk.answers_lost_until <= running_loop().time():
            return False
        share = LOST_SHARE if notice.jobs else LOST_SHARE_OF_OTHERS
        return self._random.random() < share

    async def close(self) -> None:
        await super().close()
        self._runner.close()

    def abandon(self) -> None:
        """The process is dead: roll back what was open, as the next one to open the file would."""
        self._runner.close()

    # --- the connection ---------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        writer = self

        class Connection(sqlite3.Connection):
            def commit(self) -> None:
                writer._commit(super().commit)

        return connect(self._disk.path, Connection)

    def _commit(self, commit: Callable[[], None]) -> None:
        if self._disk.is_full:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            error.sqlite_errorname = "SQLITE_FULL"
            raise error
        crash_point = self._crash_point
        dies = crash_point.at_commit == 0
        if crash_point.at_commit is not None:
            crash_point.at_commit -= 1
        if dies and crash_point.before:
            raise Killed
        commit()
        if dies:
            raise Killed


class InlineReadPool:
    """The store's `ReadPool`: a read's result may be outdated when its caller continues."""

    def __init__(self, disk: Disk, random: Random) -> None:
        self._connection = connect(disk.path)
        self._random = random

    async def fetch(self, sql: str, parameters: Parameters) -> list[Row]:
        await self._hop()
        with translate_errors():
            rows = self._connection.execute(sql, cast(Any, parameters)).fetchall()
        if self._random.random() < STALE_SHARE:
            await self._hop()
        return rows

    async def _hop(self) -> None:
        await running_loop().exact_sleep(pause(self._random))

    async def close(self) -> None:
        self._connection.close()

    def abandon(self) -> None:
        self._connection.close()


class _Sorted(set[Any]):
    """A set of strings whose order does not depend on the process's hash seed."""

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
    """A connection like the service's, but without syncs: a simulated power cut loses files of the
    archive (file_disk.py), never commits of the database."""
    connection = sqlite3.connect(
        uri(path), uri=True, isolation_level=None, cached_statements=256, factory=factory
    )
    connection.create_aggregate("decimal_sum", 1, DecimalSum)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection
