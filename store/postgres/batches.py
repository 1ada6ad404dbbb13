"""Group commit on PostgreSQL: many writes, one transaction, one fsync on the server.

The server can group the commits of several connections itself. But each transaction costs a begin,
a lock, an append and a commit, both in this process and in the server: one transaction per write
took ten times the CPU of a full batch (docs/postgresql.md).

Members have no savepoints: with more than 64 in a transaction, the snapshots of every other session
become slow. A member that raises an error of its own before it has written anything fails alone. If
it has written, or the error is the server's, the batch is rolled back and run again in parts: one
by one after a conflict, a deadlock or a timeout, otherwise in halves. When the database itself
fails, the whole batch fails. Members can be repeated (`store.session.Work`).

All processes take locks in one order: first the writer's own row (lost_commits.py), for which no
other process waits; then the batch's jobs, sorted; last the users' logs, sorted. In between,
statements that look for work use `SKIP LOCKED`, but others may wait: for an idempotency key, a
provider's holds, an expired lease. If two batches deadlock, the server aborts one of them, and that
batch is run again one by one.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field

import psycopg

from store.changes import Changes, Effects, NewEvent
from store.errors import OutcomeUnknown, StoreLocked, StoreUnavailable
from store.postgres.connection import STATEMENTS
from store.postgres.failures import concerns_one_write, is_collision, may_wait_again, to_store_error
from store.postgres.lost_commits import was_committed
from store.postgres.session import PendingResult, PostgresSession
from store.session import Batchable, Failed, Group, Outcome, Work, WorkOnJobs, groups
from store.writer import Batch

STATEMENT_TIMEOUT = 10_000
PAUSE_TIMEOUT = 10_000
"""Milliseconds after which the server ends an idle transaction."""
LOCK_TIMEOUT = 3_000
"""Milliseconds that a batch waits for another process's lock."""
LOCK_TIMEOUT_ALONE = 500
"""The same for a single write, because others wait behind it."""

COLLISION_TRIES = 3
"""How often a single write that collides with another is tried."""

OUTCOME_TIMEOUT = 10.0
"""Seconds to find out whether a commit succeeded whose answer was lost."""
OUTCOME_PAUSE = 0.1
"""Seconds between two attempts to find it out."""

_NOT_ENDED = "an earlier transaction of this process has not ended yet"

_CONFIGURE = STATEMENTS.load("database")["configure-transaction"]
_LOCK_JOBS = STATEMENTS.load("jobs")["lock-jobs"]
_EVENTS = STATEMENTS.load("events")


@dataclass(slots=True)
class _Transaction:
    """One transaction and what its members did in it."""

    outcomes: dict[int, Outcome[object]] = field(default_factory=dict)
    """By the work's index."""
    changes: Changes = field(default_factory=Changes)
    events: list[NewEvent] = field(default_factory=list)
    begun: PendingResult | None = None
    """The answer to its first statement, which locks its writer's row."""
    committing: int | None = None
    """Its number, once the commit is under way."""

    def run(self, session: PostgresSession, group: Group) -> None:
        """Run a group of members. Raises what has to fail the transaction."""
        indexes, work = group
        effects = Effects()
        before = len(session.writes)
        try:
            outcomes = work(session, effects)
        except Exception as error:  # a `Work` may raise anything, for its own caller
            # A single member that has written nothing fails alone. Otherwise, and after every error
            # of the server, the transaction fails.
            if isinstance(error, psycopg.Error) or len(indexes) > 1 or session.has_written(before):
                raise
            self.outcomes[indexes[0]] = Failed(error)
            return
        self.outcomes.update(zip(indexes, outcomes, strict=True))
        self.changes.add(effects)
        self.events += effects.events

    @property
    def result(self) -> Batch:
        return Batch([self.outcomes[index] for index in range(len(self.outcomes))], self.changes)


class PostgresBatchRunner:
    """Runs batches on a connection of its own. Synchronous, and bound to one thread."""

    def __init__(
        self,
        connect: Callable[[], psycopg.Connection],
        writer: str,
        before_commit: Callable[[int], None],
    ) -> None:
        """`writer` must be unique among all processes that have ever used the database: the outcome
        of a commit is looked up by it. `before_commit` is called with the number of each
        transaction before it commits."""
        self._connect = connect
        self._writer = writer
        self._before_commit = before_commit
        self._connection: psycopg.Connection | None = None

    def run(self, urgent: Sequence[Work[object]], background: Sequence[Work[object]] = ()) -> Batch:
        """Run all of them in one transaction, the urgent ones first, and commit it. If one of them
        fails the transaction, they are run again in several."""
        began = time.perf_counter()
        works = [*urgent, *background]
        batch = self._run(works)
        # They are sent together and cannot be timed apart: each gets an equal share.
        each = (time.perf_counter() - began) / len(works)
        return batch._replace(seconds=(each * len(urgent), each * len(background)))

    def close(self) -> None:
        """Close the connection; the server rolls back an open transaction."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    # --- several transactions -------------------------------------------------------------------

    def _run(self, works: Sequence[Work[object]], tries: int = COLLISION_TRIES) -> Batch:
        """Run them in one transaction or, if one of them fails it, in several."""
        try:
            return self._run_together(works)
        except Exception as error:  # noqa: BLE001 - every member's caller must get an outcome
            if not concerns_one_write(error):
                self.close()
                return _failed(works, error)
            if len(works) > 1:
                return self._run_parts(works, error)
            if tries > 1 and is_collision(error):
                return self._run(works, tries - 1)
            return Batch([Failed(to_store_error(error) or error)], Changes())

    def _run_parts(self, works: Sequence[Work[object]], error: Exception) -> Batch:
        # Halving finds the faulty work in few attempts. But if each attempt may wait for a lock or
        # a slow statement, running them one by one waits only once.
        size = 1 if may_wait_again(error) else (len(works) + 1) // 2
        all_of_them = Batch([], Changes())
        for first in range(0, len(works), size):
            some = self._run(works[first : first + size])
            all_of_them.outcomes.extend(some.outcomes)
            all_of_them.changes.add(some.changes)
        return all_of_them

    # --- one transaction ------------------------------------------------------------------------

    def _run_together(self, works: Sequence[Work[object]]) -> Batch:
        connection = self._connection
        if connection is not None:
            try:
                return self._run_on(connection, works)
            except psycopg.Error:
                if not connection.closed:
                    raise
                # The connection was lost before the commit: nothing was written. Try a new one.
        connection = self._connection = self._connect()
        return self._run_on(connection, works)

    def _run_on(self, connection: psycopg.Connection, works: Sequence[Work[object]]) -> Batch:
        """Run one transaction; when it raises anything but `OutcomeUnknown`, the transaction is
        rolled back. Closes a connection that is lost."""
        transaction = _Transaction()
        try:
            with connection.pipeline() as pipeline:
                try:
                    self._execute(transaction, PostgresSession(connection, pipeline), works)
                    pipeline.sync()
                except psycopg.Error:
                    with suppress(psycopg.Error):  # errors after the first add nothing
                        pipeline.sync()
                    raise
        except Exception as error:  # any error: roll back and re-raise, or look up the commit
            if not connection.broken:
                self._roll_back(connection)
                begun = transaction.begun
                if may_wait_again(error) and begun is not None and not begun.has_succeeded:
                    # The writer's row is still locked by a transaction whose connection was lost.
                    # One by one, each member would wait for it too.
                    raise StoreLocked(_NOT_ENDED) from error
                raise
            self.close()
            if transaction.committing is None:
                raise
            if self._resolve_commit(transaction.committing, error):
                return transaction.result
            return _failed(works, error)
        return transaction.result

    def _execute(
        self,
        transaction: _Transaction,
        session: PostgresSession,
        works: Sequence[Work[object]],
    ) -> None:
        lock = LOCK_TIMEOUT_ALONE if len(works) == 1 else LOCK_TIMEOUT
        timeouts = {"statement": STATEMENT_TIMEOUT, "lock": lock, "pause": PAUSE_TIMEOUT}
        session.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        begun = session.execute(_CONFIGURE, {**timeouts, "writer": self._writer})
        transaction.begun = begun
        before = len(session.writes)
        _lock_jobs(session, works)
        for group in groups(works):
            transaction.run(session, group)
        number = int(begun.fetchone()[-1])
        self._before_commit(number)
        if transaction.events:
            _append(session, transaction.events)
        if session.has_written(before):
            transaction.committing = number
        else:
            # Only the writer's row has changed, which nobody will look up, so the commit need not
            # wait for the disk. Such batches are frequent: the relay makes two a second. (After a
            # ROLLBACK, psycopg would forget the prepared statements.)
            session.execute("SET LOCAL synchronous_commit = off")
        session.execute("COMMIT")

    def _roll_back(self, connection: psycopg.Connection) -> None:
        try:
            connection.rollback()
        except psycopg.Error:
            self.close()

    def _resolve_commit(self, number: int, lost: Exception) -> bool:
        """Find out whether a commit happened whose answer was lost with the connection.

        Raises `OutcomeUnknown` if that is not known after `OUTCOME_TIMEOUT`.
        """
        until = time.monotonic() + OUTCOME_TIMEOUT
        while (committed := self._look_up(number)) is None:
            if time.monotonic() > until:
                raise OutcomeUnknown("the connection was lost during a commit") from lost
            time.sleep(OUTCOME_PAUSE)
        return committed

    def _look_up(self, number: int) -> bool | None:
        try:
            connection = self._connection = self._connection or self._connect()
            return was_committed(connection, self._writer, number)
        except (StoreUnavailable, psycopg.Error):
            self.close()
            return None


def _lock_jobs(session: PostgresSession, works: Sequence[Work[object]]) -> None:
    jobs = {job for work in works if isinstance(work, WorkOnJobs | Batchable) for job in work.jobs}
    deliveries = {
        delivery for work in works if isinstance(work, WorkOnJobs) for delivery in work.deliveries
    }
    if jobs or deliveries:
        session.execute(_LOCK_JOBS, {"jobs": list(jobs), "deliveries": list(deliveries)})


def _append(session: PostgresSession, events: Sequence[NewEvent]) -> None:
    session.execute(_EVENTS["lock-logs"], {"users": list({event.user_id for event in events})})
    columns = map(list, zip(*events, strict=True))
    session.execute(_EVENTS["append-events"], dict(zip(NewEvent._fields, columns, strict=True)))


def _failed(works: Sequence[Work[object]], error: Exception) -> Batch:
    """A copy of the failure for each caller, since each raises it in its own task."""
    failure = to_store_error(error) or error
    return Batch([Failed(copy(failure)) for _ in works], Changes())
