"""The cost of queries whose plan does not show it, in steps of SQLite's virtual machine."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from store.sqlite.connection import STATEMENTS, connect_writer, prepare
from tests.store.statements import all_sql

SQL = all_sql(STATEMENTS)
MESSAGES = """
PRAGMA foreign_keys = OFF;
WITH RECURSIVE n (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < {count})
INSERT INTO deliveries (id, job_id, user_id, seq, status, final, self_declared, url, host, state,
                        retried, created_at, next_attempt_at, holder, held_until, body)
SELECT 'msg_' || n, 'job_1', 1, n, 'FAILED', 1, 0, '', 'a:443', 'pending',
       1, 0, 5, iif(n = {count}, 'me', NULL), iif(n = {count}, 50, NULL), x'' FROM n;
"""
"""Messages of one job that are sent again, the last of them at this moment."""


def steps(database: sqlite3.Connection, query: str) -> int:
    """How many hundreds of steps a query takes."""
    count = 0

    def tick() -> None:
        nonlocal count
        count += 1

    given = {"host": "a:443", "user_id": 1, "now": 10, "latest_end": 100, "limit": 4}
    database.set_progress_handler(tick, 100)
    database.execute(SQL[query], given).fetchall()
    database.set_progress_handler(None, 0)
    return count


@pytest.mark.parametrize("query", ["deliveries.due-to-host", "deliveries.next-due"])
def test_each_message_behind_one_in_flight_costs_the_same(tmp_path: Path, query: str) -> None:
    costs = []
    for count in (500, 1_000):
        path = tmp_path / f"{count}.db"
        prepare(path)
        with closing(connect_writer(path)) as database:
            database.executescript(MESSAGES.format(count=count))
            costs.append(steps(database, query))
    assert costs[1] <= 3 * costs[0], costs
