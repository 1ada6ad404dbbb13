"""Finds out whether a commit happened whose answer was lost with the connection.

The transaction's number does not tell by itself. A server that has crashed, or a standby that was
promoted, knows only the transactions in the log that reached its disk. It gives the number of a
lost one to another transaction, which may commit. So each writer has a row of its own in `meta`,
and each of its transactions writes its number there: the row has the number if the transaction was
committed, and only then, because no other writer changes the row.
"""

import psycopg

from store.postgres.connection import STATEMENTS, WRITERS_KEPT

_SQL = STATEMENTS.load("database")


def was_committed(connection: psycopg.Connection, writer: str, transaction: int) -> bool | None:
    """Whether the writer's latest transaction was committed; None if that cannot be said (yet).
    The connection is in autocommit mode, so each statement sees what was committed before it."""
    # First the status, then the row. In the other order, the transaction could commit in between:
    # the row as read before would not have its number, and the status would say that it has ended.
    if _status(connection, transaction) == "in progress":
        # Ours, or another one with its number. Ours could still commit.
        return None
    # Whatever else the status is, ours has ended, or never began in the history of this server.
    found = connection.execute(_SQL["read-writer"].encode(), {"writer": writer}).fetchone()
    if found is None:
        return None
    number, end = found
    if number is not None:
        return bool(number == str(transaction))
    # There is no row: the writer has never committed, or its row was removed since then
    # (`remove-old-writers`). If the transaction is recent, it was not removed.
    return False if int(end) - transaction <= WRITERS_KEPT else None


def _status(connection: psycopg.Connection, transaction: int) -> str | None:
    given = {"transaction": str(transaction)}
    try:
        row = connection.execute(_SQL["read-transaction-status"].encode(), given).fetchone()
    except psycopg.DataError:
        return None  # this server has not given out the number yet: its history is another one
    return None if row is None else row[0]
