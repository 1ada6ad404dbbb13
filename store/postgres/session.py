"""A write transaction on PostgreSQL with pipelined statements.

The answer to a statement is awaited only when its result is used, so a batch costs few round trips.
An error surfaces at the next use of a result, perhaps in another member. Then all are rolled back
and run in parts (batches.py).
"""

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


class PostgresSession:
    """Implements `store.session.Session`. Used within the given pipeline."""

    def __init__(self, connection: psycopg.Connection, pipeline: psycopg.Pipeline) -> None:
        self._connection = connection
        self._pipeline = pipeline
        self.writes: list[psycopg.Cursor] = []
        """The statements that may write: all but SELECT."""

    def execute(self, sql: str, parameters: Any = None, /) -> PendingResult:
        cursor = self._connection.cursor(binary=True)
        cursor.execute(sql.encode(), parameters)
        if not sql.startswith("SELECT"):
            self.writes.append(cursor)
        return PendingResult(cursor, self._pipeline)

    def has_written(self, since: int) -> bool:
        """Whether a statement in `writes`, from this index on, has written anything, or may have:
        it counts until its answer shows that it changed no row."""
        return any(cursor.rowcount != 0 for cursor in self.writes[since:])
