"""A write transaction on PostgreSQL with pipelined statements.

The answer to a statement is awaited only when its result is used, so a batch costs few round trips.
An error surfaces at the next use of a result, perhaps in another member. Then all are rolled back
and run in parts (batches.py).
"""

from collections.abc import Iterator
from typing import Any

import psycopg


class PendingResult:
    """A statement that has been sent; implements `store.session.Result`."""

    def __init__(self, cursor: psycopg.Cursor, pipeline: psycopg.Pipeline) -> None:
        self._cursor = cursor
        self._pipeline = pipeline

    @property
    def has_succeeded(self) -> bool:
        """Whether the answer has arrived and is no error."""
        return self._cursor.rowcount >= 0

    @property
    def rowcount(self) -> int:
        if self._cursor.rowcount < 0:
            self._pipeline.sync()
        return self._cursor.rowcount

    def fetchone(self) -> Any:
        return self._cursor.fetchone()

    def fetchall(self) -> list[Any]:
        return self._cursor.fetchall()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cursor)


class PostgresSession:
    """Implements `store.session.Session`. Used within the given pipeline."""

    def __init__(self, connection: psycopg.Connection, pipeline: psycopg.Pipeline) -> None:
        self._connection = connection
        self._pipeline = pipeline
        self._writes: list[psycopg.Cursor] = []
        """The members' statements that may write: all but SELECT."""
        self._member = 0
        """The index in `_writes` of the current member's first statement."""

    def begin(self, settings: str, parameters: Any) -> PendingResult:
        """Begin a transaction with the statement for its settings, which belongs to no member."""
        self.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        begun = self.execute(settings, parameters)
        self._writes.clear()
        return begun

    def execute(self, sql: str, parameters: Any = None, /) -> PendingResult:
        cursor = self._connection.cursor(binary=True)
        cursor.execute(sql.encode(), parameters)
        if not sql.startswith("SELECT"):
            self._writes.append(cursor)
        return PendingResult(cursor, self._pipeline)

    def begin_member(self) -> None:
        """Start to count the writes of the next member."""
        self._member = len(self._writes)

    def has_written(self, *, any_member: bool = False) -> bool:
        """Whether the member, or any member so far, has written anything, or may have: a statement
        counts until its answer shows that it changed no row."""
        some = self._writes if any_member else self._writes[self._member :]
        return any(cursor.rowcount != 0 for cursor in some)
