"""No query scans a table or sorts, if the cost would grow with the stored history.

Where the plan does not show the cost, it is measured in steps of SQLite's virtual machine.
"""

import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from store.sqlite.connection import STATEMENTS, connect_writer, prepare
from tests.store.statements import PARTS, all_sql

ALLOWED: dict[str, set[str]] = {
    # Counts of unfinished rows: they read only the index of those rows.
    "jobs.backlog": {"SCAN jobs USING COVERING INDEX jobs_unfinished"},
    "places.count-by-user": {
        "SCAN jobs USING COVERING INDEX jobs_unfinished",
        "USE TEMP B-TREE FOR GROUP BY",
        "USE TEMP B-TREE FOR ORDER BY",
    },
    "deliveries.backlog": {"SCAN deliveries USING COVERING INDEX deliveries_pending"},
    # These read an index in order, up to a LIMIT. Only the sizes of one page are sorted.
    "events.events-after of job": {"USE TEMP B-TREE FOR ORDER BY"},
    "events.events-after of user": {"USE TEMP B-TREE FOR ORDER BY"},
    # A bounded number of rows, and those in flight.
    "deliveries.list-candidates": {"USE TEMP B-TREE FOR GROUP BY", "USE TEMP B-TREE FOR ORDER BY"},
    "due.list-candidates": {"USE TEMP B-TREE FOR GROUP BY", "USE TEMP B-TREE FOR ORDER BY"},
    # A few rows of each user who waits, and those in flight.
    "places.list-waiting": {"USE TEMP B-TREE FOR GROUP BY", "USE TEMP B-TREE FOR ORDER BY"},
    # A bounded number of deliveries, in the index's order.
    **{
        f"deliveries.list-page {version}": {"USE TEMP B-TREE FOR ORDER BY"}
        for version in PARTS["deliveries.list-page"]
    },
    # A bounded number of rows is counted, in 24 groups.
    **{
        f"statistics.{query}{whose}": {"USE TEMP B-TREE FOR GROUP BY", *sorting}
        for query, sorting in (
            ("count-jobs", ()),
            ("time-jobs", ("USE TEMP B-TREE FOR ORDER BY",)),
            ("count-attempts", ()),
        )
        for whose in ("", " of all")
    },
    # A bounded number of jobs; those that ended in the same millisecond are sorted by id.
    "jobs.list-ended": {"USE TEMP B-TREE FOR LAST TERM OF ORDER BY"},
    # The leased rows, which are those in flight.
    "database.end-delivery-leases": {"SCAN deliveries USING INDEX deliveries_held"},
    "database.end-job-leases": {"SCAN due USING INDEX due_held"},
    # The jobs of one snapshot, in the order of the inner query.
    "events.snapshot-of-user": {"SCAN j LEFT-JOIN"},
    # Everything about one job, or one id.
    "jobs.read-history": {"USE TEMP B-TREE FOR ORDER BY"},
    # A bounded number of jobs in the index's order; at most sixteen metadata members of each are
    # read.
    **{
        f"jobs.list-page {version}": {
            "SCAN wanted VIRTUAL TABLE INDEX 1:",
            "USE TEMP B-TREE FOR ORDER BY",
        }
        for version in PARTS["jobs.list-page"]
    },
    # The users with open streams.
    "events.read-ends": {"SCAN json_each VIRTUAL TABLE INDEX 1:"},
    "keys.list-active": {"SCAN json_each VIRTUAL TABLE INDEX 1:"},
    "keys.note-use": {"SCAN json_each VIRTUAL TABLE INDEX 1:"},
    # The jobs of a period, in the index's order.
    **{
        f"ledger.spend {version}": {
            "USE TEMP B-TREE FOR GROUP BY",
            "SCAN wanted VIRTUAL TABLE INDEX 1:",
            "SCAN m VIRTUAL TABLE INDEX 1:",
        }
        for version in PARTS["ledger.spend"]
    },
    # A command's list of all.
    "ledger.list-budgets of all": {"SCAN u USING COVERING INDEX sqlite_autoindex_users_1"},
    # Only an admin reads it.
    "keys.list-keys": {"SCAN k", "USE TEMP B-TREE FOR ORDER BY"},
    "keys.list-keys-by-prefix": {"SCAN k", "USE TEMP B-TREE FOR ORDER BY"},
}

CHOSEN = {
    "due.end-leases": "due_held (lane=? AND held_until<?)",
    "due.list-candidates": "(lane=? AND (provider,user_id,batch,at,job_id)>(?,?,?,?,?))",
    "places.list-waiting": "(lane=? AND provider=? AND (user_id,batch,at,job_id)>(?,?,?,?))",
    "places.count-in-flight": "COVERING INDEX jobs_unfinished (phase=? AND provider=?)",
    "places.count-ahead": "(lane=? AND provider=? AND user_id=? AND batch=? AND (at,job_id)<(?,?))",
    "deliveries.list-candidates": "deliveries_places ((user_id,host,next_attempt_at,id)>(?,?,?,?))",
    "deliveries.list-page all": "sqlite_autoindex_deliveries_1 (id<?)",
    "deliveries.list-page by host": "deliveries_by_host (user_id=? AND <expr>=? AND id<?)",
    "deliveries.list-page by job": "sqlite_autoindex_deliveries_2 (job_id=?)",
    "deliveries.list-page by state": "deliveries_by_state (user_id=? AND state=? AND id<?)",
    "deliveries.list-page by user": "deliveries_by_user (user_id=? AND id<?)",
    "deliveries.list-page unfinished": "deliveries_unfinished (state=? AND id<?)",
    "events.events-after of job": "events_by_job (job_id=? AND seq>? AND seq<?)",
    "events.snapshot-of-user": "jobs_unfinished_by_user (user_id=?)",
    "jobs.clear-due": "due USING PRIMARY KEY (job_id=?)",
    "jobs.list-page by kind": "jobs_by_kind (user_id=? AND kind=? AND id>? AND id<?)",
    "jobs.list-page by provider": "jobs_by_provider (user_id=? AND provider=? AND id>?",
    "jobs.list-page by status": "jobs_by_status (user_id=? AND status=? AND id>? AND id<?)",
    "jobs.list-page by metadata": "user_id=? AND name=? AND value=? AND job_id>? AND job_id<?",
    "jobs.list-page by user": "jobs_by_user (user_id=? AND id>? AND id<?)",
    "jobs.list-newer": "jobs_by_provider (user_id=? AND provider=? AND id>?",
    "jobs.list-in-phase": "jobs_unfinished (phase=?)",
    "jobs.list-overdue": "jobs_unfinished (phase=? AND provider=? AND created_at<?)",
    "jobs.list-ended": "jobs_by_end (done_at>? AND done_at<?)",
    "jobs.read-job": "sqlite_autoindex_jobs_1 (id=?)",
    "jobs.list-page of all": "jobs USING INDEX sqlite_autoindex_jobs_1 (id>? AND id<?)",
    "jobs.read-job-by-provider-id": "jobs_by_provider_id (provider_request_id=? AND provider=?)",
    "keys.list-users": "jobs_unfinished_by_user (user_id=?)",
    "jobs.find-provider-id": "jobs_by_provider_id (provider_request_id=? AND provider=?)",
    "ledger.first-and-last": "ledger_by_user (user_id=? AND created_at>?)",
    "ledger.first-and-last of all": "ledger_by_time (created_at>?)",
    "ledger.newest-currency": "ledger_by_user (user_id=?)",
    "ledger.remove-old": "ledger_by_time (created_at<?)",
    "ledger.spend day": "ledger_by_user (user_id=? AND created_at>? AND created_at<?)",
    "ledger.spend day of all": "ledger_by_time (created_at>? AND created_at<?)",
    "ledger.spent-since": "ledger_by_user (user_id=? AND created_at>? AND created_at<?)",
    "statistics.count-attempts": "deliveries_by_user (user_id=? AND id>?)",
    "statistics.count-attempts of all": "sqlite_autoindex_deliveries_1 (id>?)",
    "statistics.count-jobs": "jobs_by_user (user_id=? AND id>?)",
    "statistics.count-jobs of all": "sqlite_autoindex_jobs_1 (id>?)",
    "statistics.time-jobs": "jobs_by_user (user_id=? AND id>?)",
    "statistics.time-jobs of all": "sqlite_autoindex_jobs_1 (id>?)",
    "due.postpone": "due USING PRIMARY KEY (job_id=?)",
    "jobs.set-verdict": "callbacks USING INTEGER PRIMARY KEY (rowid=?)",
}
"""The index that a query must use: a search by another one can cost as much as a scan."""

SQL = all_sql(STATEMENTS)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path: Path = tmp_path_factory.mktemp("plans") / "receiver.db"
    prepare(path)
    with closing(connect_writer(path)) as connection:
        yield connection


def plan(database: sqlite3.Connection, sql: str) -> list[str]:
    # A plan does not depend on values: every parameter is NULL.
    nothing = defaultdict[str, None](lambda: None)
    rows = database.execute(f"EXPLAIN QUERY PLAN {sql}", nothing).fetchall()
    return [detail for _, _, _, detail in rows]


def costly_steps(steps: list[str]) -> set[str]:
    inner = {step.split()[1] for step in steps if step.startswith(("CO-ROUTINE", "MATERIALIZE"))}
    return {
        step
        for step in steps
        # The rows of an inner query are not a table's: the inner query's own steps show their cost.
        if (step.startswith("SCAN") and step.split()[1] not in inner) or "TEMP B-TREE" in step
        if not re.fullmatch(r"SCAN (CONSTANT ROW|\d+ CONSTANT ROWS|\d+-ROW VALUES CLAUSE)", step)
    }


@pytest.mark.parametrize("query", SQL)
def test_no_query_scans_or_sorts_and_each_uses_its_index(
    database: sqlite3.Connection, query: str
) -> None:
    steps = plan(database, SQL[query])

    assert costly_steps(steps) <= ALLOWED.get(query, set()), "\n".join(steps)
    assert any(CHOSEN.get(query, "") in step for step in steps or [""]), "\n".join(steps)


def test_every_query_with_an_exception_or_an_index_exists() -> None:
    assert {*ALLOWED, *CHOSEN} <= SQL.keys()


@pytest.mark.skipif(sqlite3.sqlite_version_info >= (3, 47), reason="a newer SQLite sorts less")
def test_every_exception_is_needed(database: sqlite3.Connection) -> None:
    for query, allowed in ALLOWED.items():
        assert allowed <= set(plan(database, SQL[query])), query


# --- costs that a plan does not show --------------------------------------------------------------


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

    given = {"peer": "", "user_id": 0, "now": 10, "share": 8, "most": 128}
    database.set_progress_handler(tick, 100)
    database.execute(SQL[query], given).fetchall()
    database.set_progress_handler(None, 0)
    return count


def test_each_message_behind_one_in_flight_costs_the_same(tmp_path: Path) -> None:
    costs = []
    for count in (500, 1_000):
        path = tmp_path / f"{count}.db"
        prepare(path)
        with closing(connect_writer(path)) as database:
            database.executescript(MESSAGES.format(count=count))
            costs.append(steps(database, "deliveries.list-candidates"))
    assert costs[1] <= 3 * costs[0], costs
