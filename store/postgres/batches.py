"""Group commit on PostgreSQL: many writes, one transaction, one sync of the server's disk.

There is no savepoint for each member: beyond 64 of them in a transaction, every other session's
snapshots become slow. A member that fails before it has written anything fails alone; where one has
written, or two processes have collided, the batch is undone and its members run again, one
transaction each; where a crowd could not be done by one call, as two batches. Works are made to be
run again (`store.relational.session.Work`).

Locks are taken in one order by all processes: the jobs of the batch before anything else, sorted;
last, the users' logs, sorted. In between, `SKIP LOCKED` alone. Where two still wait for each other
(the same two idempotency keys at once, say), the server ends one, and that one's batch runs apart.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import psycopg

from store.contract import Changes
from store.errors import StoreUnavailable
from store.postgres.failures import is_collision, is_of_one, meaning
from store.postgres.session import PostgresSession
from store.postgres.sql import STATEMENTS
from store.relational.session import (
    Done,
    Effects,
    Failed,
    NewEvent,
    OnJobs,
    Outcome,
    Unlike,
    Work,
    crowds,
)

T = TypeVar("T")

STATEMENT_TIMEOUT = 10_000
PAUSE_TIMEOUT = 10_000
"""Milliseconds after which the server ends a transaction whose process stands still."""
LOCK_TIMEOUT = 3_000
"""Milliseconds that a batch waits for another process's lock."""
LOCK_TIMEOUT_ALONE = 500
"""The same for one write by itself: others wait behind it."""

TRIES = 3
"""Runs of one write by itself that collides."""

BACKOFF = (0.1, 2.0)
"""Seconds between attempts to connect: doubled from the first to the second."""

FATE_PATIENCE = 10.0
"""Seconds in which the fate of a commit whose answer was lost can be found out."""

_BEGIN = STATEMENTS.load("database")["begin"]
_READ_FATE = STATEMENTS.load("database")["read-fate"]
_LOCK_JOBS = STATEMENTS.load("jobs")["lock-jobs"]
_EVENTS = STATEMENTS.load("events")

PostgresWork = Work[PostgresSession, object]


class _Stale(Exception):
    """The connection, an old one, was lost before the commit."""


class _Apart(Exception):
    """The members have to be run one by one."""


@dataclass(slots=True)
class _Batch:
    """What has been done of one transaction."""

    outcomes: list[Outcome[object]] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)
    events: list[NewEvent] = field(default_factory=list)
    transaction: int | None = None
    committing: bool = False


class PostgresBatchRunner:
    """Runs batches on a connection of its own. Synchronous, and bound to one thread."""

    def __init__(
        self, connect: Callable[[], psycopg.Connection], on_begin: Callable[[int], None]
    ) -> None:
        """`on_begin` hears the number of each transaction before it commits."""
        self._connect = connect
        self._on_begin = on_begin
        self._connection: psycopg.Connection | None = None
        self._backoff = 0.0
        self._not_before = 0.0

    def run(self, works: Sequence[PostgresWork]) -> tuple[list[Outcome[object]], Changes]:
        """Run all of them and commit: an outcome for each, in order, and what changed on disk."""
        if len(works) == 1:
            return self._run_apart(works)
        try:
            try:
                return self._run_together(works)
            except _Stale:
                # The server was restarted since the last batch: nothing of this one has happened.
                return self._run_together(works)
        except _Apart as apart:
            if isinstance(apart.__cause__, Unlike):
                return self._run_halves(works)
            return self._run_apart(works)
        except Exception as error:  # noqa: BLE001 - whatever it is, every member has to be told
            self.close()
            return [Failed(_told(error)) for _ in works], Changes()

    def close(self) -> None:
        """Close the connection; the server rolls back whatever is open."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    # --- one transaction ------------------------------------------------------------------------

    def _run_together(self, works: Sequence[PostgresWork]) -> tuple[list[Outcome[object]], Changes]:
        connection, is_old = self._connected()
        batch = _Batch()
        try:
            with connection.pipeline() as pipeline:
                try:
                    self._fill(batch, PostgresSession(connection, pipeline), works)
                    pipeline.sync()
                except psycopg.Error:
                    with suppress(psycopg.Error):  # what follows the first error says nothing new
                        pipeline.sync()
                    raise
        except psycopg.Error as error:
            if connection.broken:
                self.close()
                if batch.committing and batch.transaction is not None:
                    return self._look_up(batch, works, error)
                if is_old:
                    raise _Stale from error
                raise
            self._roll_back(connection)
            if not is_of_one(error):
                raise
            if len(works) > 1:
                raise _Apart from error
            return [Failed(error)], Changes()
        except _Apart:
            self._roll_back(connection)
            raise
        return batch.outcomes, batch.changes

    def _fill(self, batch: _Batch, session: PostgresSession, works: Sequence[PostgresWork]) -> None:
        alone = len(works) == 1
        session.execute("BEGIN")
        begun = session.execute(
            _BEGIN,
            {
                "statement_timeout": f"{STATEMENT_TIMEOUT}ms",
                "lock_timeout": f"{LOCK_TIMEOUT_ALONE if alone else LOCK_TIMEOUT}ms",
                "pause_timeout": f"{PAUSE_TIMEOUT}ms",
            },
        )
        _lock_jobs(session, works)
        outcomes: dict[int, Outcome[object]] = {}
        for places, crowd in crowds(works):
            outcome = self._run_member(batch, session, crowd, alone=alone)
            if isinstance(outcome, Done):
                outcomes.update(zip(places, outcome.value, strict=True))
            elif len(places) == 1:
                outcomes[places[0]] = outcome
            else:
                raise _Apart from outcome.error
        batch.outcomes = [outcomes[place] for place in range(len(works))]
        batch.transaction = int(begun.fetchone()[-1])
        self._on_begin(batch.transaction)
        if batch.events:
            _append(session, batch.events)
        batch.committing = True
        session.execute("COMMIT")

    def _run_member(
        self,
        batch: _Batch,
        session: PostgresSession,
        work: Work[PostgresSession, T],
        *,
        alone: bool,
    ) -> Outcome[T]:
        effects = Effects()
        session.begin_member()
        try:
            value = work(session, effects)
        except psycopg.Error:
            raise
        except Exception as error:
            # Whatever a member raises is its caller's; what matters is whether it left anything.
            if session.has_written():
                if alone:
                    # Undone with the transaction, in which there is nothing else.
                    session.execute("ROLLBACK")
                    session.execute("BEGIN")
                else:
                    raise _Apart from error
            return Failed(error)
        batch.changes.add(effects)
        batch.events += effects.events
        return Done(value)

    def _run_apart(self, works: Sequence[PostgresWork]) -> tuple[list[Outcome[object]], Changes]:
        outcomes: list[Outcome[object]] = []
        changes = Changes()
        for work in works:
            outcome, changed = self._run_alone(work)
            outcomes.append(outcome)
            changes.add(changed)
        return outcomes, changes

    def _run_halves(self, works: Sequence[PostgresWork]) -> tuple[list[Outcome[object]], Changes]:
        half = len(works) // 2
        outcomes, changes = self.run(works[:half])
        rest, changed = self.run(works[half:])
        changes.add(changed)
        return outcomes + rest, changes

    def _run_alone(self, work: PostgresWork) -> tuple[Outcome[object], Changes]:
        for attempt in range(1, TRIES + 1):
            try:
                try:
                    (outcome,), changes = self._run_together([work])
                except _Stale:
                    (outcome,), changes = self._run_together([work])
            except Exception as error:  # noqa: BLE001 - whoever waits for it has to be told
                self.close()
                return Failed(_told(error)), Changes()
            if isinstance(outcome, Failed):
                if attempt < TRIES and is_collision(outcome.error):
                    continue
                outcome = Failed(_told(outcome.error))
            return outcome, changes
        raise AssertionError("the last try returns")

    # --- the connection -------------------------------------------------------------------------

    def _connected(self) -> tuple[psycopg.Connection, bool]:
        """The connection, and whether it has been used before. Raises `StoreUnavailable`."""
        if self._connection is not None:
            return self._connection, True
        if time.monotonic() < self._not_before:
            raise StoreUnavailable("PostgreSQL could not be reached a moment ago")
        try:
            self._connection = self._connect()
        except StoreUnavailable:
            first, longest = BACKOFF
            self._backoff = min(max(first, self._backoff * 2), longest)
            self._not_before = time.monotonic() + self._backoff
            raise
        self._backoff = 0.0
        return self._connection, False

    def _roll_back(self, connection: psycopg.Connection) -> None:
        try:
            connection.rollback()
        except psycopg.Error:
            self.close()

    def _look_up(
        self, batch: _Batch, works: Sequence[PostgresWork], lost: psycopg.Error
    ) -> tuple[list[Outcome[object]], Changes]:
        """Find out what became of a commit whose answer was lost with the connection."""
        until = time.monotonic() + FATE_PATIENCE
        while True:
            try:
                connection, _ = self._connected()
                row = connection.execute(
                    _READ_FATE.encode(), {"transaction": str(batch.transaction)}
                ).fetchone()
                fate = None if row is None else row[0]
            except psycopg.DataError:
                fate = None  # a server that has not come as far: another one's history
            except (StoreUnavailable, psycopg.OperationalError):
                self.close()
                fate = "unknown"
            if fate == "committed":
                return batch.outcomes, batch.changes
            if fate not in ("unknown", "in progress"):
                return [Failed(_told(lost)) for _ in works], Changes()
            if time.monotonic() > until:
                raise StoreUnavailable("the connection was lost during a commit") from lost
            time.sleep(BACKOFF[0])


def _lock_jobs(session: PostgresSession, works: Sequence[PostgresWork]) -> None:
    on_jobs = [work for work in works if isinstance(work, OnJobs)]
    jobs = {job for work in on_jobs for job in work.jobs}
    deliveries = {delivery for work in on_jobs for delivery in work.deliveries}
    if jobs or deliveries:
        session.execute(_LOCK_JOBS, {"jobs": list(jobs), "deliveries": list(deliveries)})


def _append(session: PostgresSession, events: Sequence[NewEvent]) -> None:
    session.execute(_EVENTS["lock-logs"], {"users": list({event.user_id for event in events})})
    columns = ("user_id", "nonce", "job_id", "job_seq", "at", "data")
    session.execute(
        _EVENTS["append-events"],
        {column: [getattr(event, column) for event in events] for column in columns},
    )


def _told(error: BaseException) -> BaseException:
    """The error as one member's caller gets it; of trouble that all share, each has a copy."""
    if isinstance(error, StoreUnavailable):
        return type(error)(*error.args)
    trouble = meaning(error) if isinstance(error, psycopg.Error) else None
    return trouble or error
