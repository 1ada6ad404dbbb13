"""No query reads a whole table, or sorts, where its cost would grow with what is kept."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from store.relational.rows import MUTABLE_COLUMNS
from store.sqlite.connection import connect_writer, prepare
from store.sqlite.sql import STATEMENTS

ALLOWED: dict[str, set[str]] = {
    # Counts of what is unfinished or waits: their own index, and no more of it than that.
    "jobs.census": {"SCAN jobs USING COVERING INDEX jobs_unfinished"},
    "callbacks.backlog": {
        "SCAN callbacks USING COVERING INDEX callbacks_waiting",
        "SCAN callbacks USING INDEX callbacks_waiting",
    },
    "deliveries.backlog": {"SCAN deliveries USING COVERING INDEX deliveries_pending"},
    # What has just arrived.
    "callbacks.receive": {"SCAN a"},
    # In the order of the index and ended by a LIMIT. What is sorted are the sizes of one page.
    "callbacks.waiting": {
        "SCAN callbacks USING INDEX callbacks_waiting",
        "USE TEMP B-TREE FOR ORDER BY",
    },
    "events.events-of-job": {"USE TEMP B-TREE FOR ORDER BY"},
    "events.events-of-user": {"USE TEMP B-TREE FOR ORDER BY"},
    "deliveries.next-due": {
        "SCAN d USING INDEX deliveries_pending",
        "SCAN deliveries USING INDEX deliveries_held",
    },
    # The first place is the first row of the index; places are one row each, and so are full hosts.
    "deliveries.due-places": {
        "SCAN place",
        "SCAN json_each VIRTUAL TABLE INDEX 1:",
        "SCAN deliveries USING COVERING INDEX deliveries_due",
        "USE TEMP B-TREE FOR ORDER BY",
    },
    # What is held, which is what is in flight.
    "deliveries.end-holds": {"SCAN deliveries USING INDEX deliveries_held"},
    "jobs.end-holds": {"SCAN due USING INDEX due_held"},
    # One snapshot's jobs, in the order in which the inner query gave them.
    "events.snapshot-of-user": {"SCAN j LEFT-JOIN"},
    # Everything of one job, and of one id.
    "jobs.read-history": {"USE TEMP B-TREE FOR ORDER BY"},
    "jobs.read-job-by-provider-id": {"USE TEMP B-TREE FOR ORDER BY"},
    "jobs.read-job-of-anybody-by-provider-id": {"USE TEMP B-TREE FOR ORDER BY"},
    # At most sixteen members of metadata are wanted.
    "jobs.list-by-metadata": {"SCAN wanted VIRTUAL TABLE INDEX 1:"},
    # Asked for by a person at a command line.
    "keys.list-keys": {"SCAN k", "USE TEMP B-TREE FOR ORDER BY"},
    "keys.list-fitting-keys": {"SCAN k", "USE TEMP B-TREE FOR ORDER BY"},
}

CHOSEN = {
    "callbacks.receive": "callbacks_by_content (job_id=?)",
    "callbacks.waiting": "callbacks_waiting (id<?)",
    "deliveries.due-at-place": "deliveries_due (host=? AND user_id=? AND next_attempt_at<?)",
    "deliveries.due-places": "deliveries_due ((host,user_id,next_attempt_at)>(?,?,?))",
    "deliveries.list-by-state": "deliveries_by_state (user_id=? AND state=? AND id<?)",
    "deliveries.list-by-user": "deliveries_by_user (user_id=? AND id<?)",
    "events.events-of-job": "events_by_job (job_id=? AND seq>? AND seq<?)",
    "events.snapshot-of-user": "jobs_unfinished_by_user (user_id=?)",
    "jobs.lease-due": "due_by_lane (lane=? AND at<?)",
    "jobs.list-by-kind": "jobs_by_kind (user_id=? AND kind=? AND id>? AND id<?)",
    "jobs.list-by-metadata": "user_id=? AND name=? AND value=? AND job_id>? AND job_id<?",
    "jobs.list-by-status": "jobs_by_status (user_id=? AND status=? AND id>? AND id<?)",
    "jobs.list-by-user": "jobs_by_user (user_id=? AND id>? AND id<?)",
    "jobs.list-in-phase": "jobs_unfinished (phase=?)",
    "jobs.list-removable": "jobs_by_end",
    "jobs.look-jobs-up": "sqlite_autoindex_jobs_1 (id=?)",
    "jobs.next-due": "due_by_lane (lane=?)",
    "jobs.read-job-by-provider-id": "jobs_by_provider_id (provider_request_id=?)",
}
"""Which index a query must go by: a search by the wrong one can be as dear as a scan."""

QUERIES = [
    (subject, name) for subject in STATEMENTS.subjects() for name in STATEMENTS.load(subject)
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path: Path = tmp_path_factory.mktemp("plans") / "receiver.db"
    prepare(path)
    with closing(connect_writer(path)) as connection:
        yield connection


def plan(database: sqlite3.Connection, statement: str) -> list[str]:
    statement = statement.format(changes=", ".join(f"{name} = :{name}" for name in MUTABLE_COLUMNS))
    # A plan needs no values: every parameter is NULL.
    parameters = defaultdict[str, None](lambda: None)
    rows = database.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
    return [detail for _, _, _, detail in rows]


@pytest.mark.parametrize(("file", "name"), QUERIES)
def test_no_query_scans_or_sorts(database: sqlite3.Connection, file: str, name: str) -> None:
    steps = plan(database, STATEMENTS.load(file)[name])

    inner = {step.split()[1] for step in steps if step.startswith(("CO-ROUTINE", "MATERIALIZE"))}
    dear = {
        step
        for step in steps
        # The rows of an inner query are no table's: what they cost, the inner query says.
        if (step.startswith("SCAN") and step.split()[1] not in inner) or "TEMP B-TREE" in step
    } - {"SCAN CONSTANT ROW"}
    assert dear <= ALLOWED.get(f"{file}.{name}", set()), "\n".join(steps)


@pytest.mark.parametrize("query", CHOSEN)
def test_a_query_goes_by_its_index(database: sqlite3.Connection, query: str) -> None:
    file, name = query.split(".")
    steps = plan(database, STATEMENTS.load(file)[name])

    assert any(CHOSEN[query] in step for step in steps), "\n".join(steps)


def test_every_exception_is_needed(database: sqlite3.Connection) -> None:
    for query, allowed in ALLOWED.items():
        file, name = query.split(".")
        assert allowed <= set(plan(database, STATEMENTS.load(file)[name])), query
