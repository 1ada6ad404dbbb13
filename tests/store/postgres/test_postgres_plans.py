"""No query reads the whole of a table that grows, once the table has rows."""

import re
from collections import defaultdict
from collections.abc import Iterator

import psycopg
import pytest

from store.postgres.address import parse
from store.postgres.connection import STATEMENTS, connect, prepare
from store.session import Parameters
from tests.store.statements import all_sql
from tests.support.postgres_server import PostgresServer

FILL = """
INSERT INTO users (name, secret, event_nonce, origin_nonce)
SELECT 'user' || n, '', '', '' FROM generate_series(1, 200) n;
INSERT INTO jobs (id, user_id, provider, kind, status, phase, seq, created_at, updated_at,
                  error_code, error_message, error_billed, done_at, accepted_at, unconfirmed_at,
                  provider_request_id)
SELECT 'job_' || lpad(n::text, 26, '0'), n % 200 + 1, 'samsar', 'create_movie',
       CASE WHEN open THEN 'PENDING' ELSE 'FAILED' END,
       CASE WHEN open THEN 'accepted' ELSE 'finished' END, 1, n, n,
       CASE WHEN NOT open THEN 'x' END, CASE WHEN NOT open THEN 'x' END,
       CASE WHEN NOT open THEN TRUE END, CASE WHEN NOT open THEN n END, n, n, 'p' || n
  FROM (SELECT n, n % 2 = 0 AS open FROM generate_series(1, 20000) n) AS numbers;
INSERT INTO job_inputs (job_id, input) SELECT id, '{}' FROM jobs;
INSERT INTO job_results (job_id, result) SELECT id, '{}' FROM jobs;
INSERT INTO job_metadata (user_id, name, value, job_id)
SELECT user_id, 'order', id, id FROM jobs;
INSERT INTO due (job_id, lane, at, provider, user_id)
SELECT id, CASE WHEN user_id % 2 = 0 THEN 'poll' ELSE 'submit' END, created_at, provider, user_id
  FROM jobs WHERE done_at IS NULL;
INSERT INTO events (user_id, seq, nonce, job_id, job_seq, at, data)
SELECT user_id, row_number() OVER (PARTITION BY user_id ORDER BY id), '', id, 1, created_at, ''
  FROM jobs;
INSERT INTO callbacks (job_id, provider, received_at, digest, verdict, headers, body)
SELECT id, provider, created_at, '', CASE WHEN done_at IS NULL THEN 'waiting' ELSE 'applied' END,
       '', '' FROM jobs;
INSERT INTO notes (job_id, at, type, detail) SELECT id, created_at, 'x', '{}' FROM jobs;
INSERT INTO deliveries (id, job_id, user_id, seq, status, final, self_declared, url, host, state,
                        created_at, next_attempt_at, delivered_at, body)
SELECT 'msg_' || id, id, user_id, 1, status, FALSE, FALSE, '', 'host' || user_id % 50,
       CASE WHEN done_at IS NULL THEN 'pending' ELSE 'delivered' END, created_at,
       CASE WHEN done_at IS NULL THEN created_at END, done_at, '' FROM jobs;
INSERT INTO attempts (delivery_id, n, at, duration_ms) SELECT id, 1, created_at, 1 FROM deliveries;
INSERT INTO idempotency_keys (user_id, path, key, fingerprint, job_id, expires_at)
SELECT user_id, '/v1/jobs', id, '', id, created_at + 10 FROM jobs;
INSERT INTO api_keys (hash, prefix, user_id, admin, created_at)
SELECT lpad(n::text, 64, '0'), 'rk_' || n, n % 200 + 1, FALSE, n FROM generate_series(1, 1000) n;
ANALYZE
"""

JOB = "job_" + "9990".rjust(26, "0")
VALUES: dict[str, object] = {
    "job_id": JOB,
    "id": JOB,
    "delivery_id": "msg_" + JOB,
    "provider_request_id": "p7",
    "user_id": 7,
    "before": "~",
    "first": "job_" + "0" * 26,
    "status": "PENDING",
    "kind": "create_movie",
    "state": "pending",
    "phase": "accepted",
    "name": "order",
    "value": JOB,
    "metadata": '{"order":"x"}',
    "lane": "poll",
    "host": "host7",
    "holder": "me",
    "hash": "0" * 64,
    "prefix": "rk_7",
    "digest": b"",
    "headers": "",
    "body": b"",
    "provider": "samsar",
    "path": "/v1/jobs",
    "key": JOB,
    "now": 500,
    "sent_at": 500,
    "at": 500,
    "until": 900,
    "done_before": 500,
    "seq": 3,
    "limit": 20,
    "room": 200,
    "bytes": 2**20,
    "tries": 3,
    "callback_id": 9,
    "verdict": "applied",
    "evidence": "callback",
    "confirmed": None,
    "verified": True,
    "n": 3,
    "most": 256,
    "last": 2**62,
    "attempts": 40,
}


OWN: dict[str, dict[str, object]] = {}
"""Values for a statement whose parameter has another meaning than in the others."""

READ_WHOLE = {
    # Only an admin reads it, or a key is looked up by its prefix.
    "keys.list-keys": {"api_keys"},
    "keys.list-keys-by-prefix": {"api_keys", "users"},
    # About a hundred users, whose names are joined to a page of their jobs or keys.
    "users": {"users"},
}

SQL = all_sql(STATEMENTS)


@pytest.fixture(scope="session")
def filled(postgres_server: PostgresServer) -> Iterator[psycopg.Connection]:
    address = parse(postgres_server.new_schema_url())
    prepare(address)
    with connect(address) as connection:
        # Other tests end the service's sessions, which have another name.
        connection.execute("SET application_name = 'tests'")
        connection.execute("SET session_replication_role = replica")  # foreign keys are slow
        connection.execute(FILL.encode())
        connection.execute("VACUUM")
        yield connection


def scanned(
    connection: psycopg.Connection, sql: str, parameters: Parameters
) -> tuple[set[str], str]:
    """The tables of which a statement scans every row, and its plan."""
    rows = connection.execute(f"EXPLAIN {sql}".encode(), parameters).fetchall()
    plan = "\n".join(line for (line,) in rows)
    found = {
        line.split("Seq Scan on ")[1].split()[0]
        for line in plan.splitlines()
        if "Seq Scan on" in line
    }
    return found, plan


@pytest.mark.parametrize("query", sorted(SQL.keys() - {"database.begin"}))
def test_no_query_reads_a_table_that_grows(filled: psycopg.Connection, query: str) -> None:
    values = {**VALUES, **OWN.get(query, {})}
    found, plan = scanned(filled, SQL[query], defaultdict(lambda: None, values))

    allowed = READ_WHOLE.get(query, set()) | {
        *("users", "meta", "walk", "page"),  # a few rows each
        "archive_removals",  # empty, except for what is being removed
    }
    assert found <= allowed, plan


@pytest.mark.parametrize("query", ["by user", "by state", "all"])
def test_a_list_of_deliveries_that_is_prepared_sorts_no_history(
    filled: psycopg.Connection, query: str
) -> None:
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        names.append(match[1])
        return f"${len(names)}"

    numbered = re.sub(r"%\((\w+)\)s", number, SQL[f"deliveries.list-page {query}"])
    given = ", ".join(repr(VALUES[name]) for name in names)

    with filled.transaction(force_rollback=True):
        # The plan that is used after some executions, whatever the values.
        filled.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        filled.execute(f"PREPARE listing AS {numbered}".encode())
        plan = filled.execute(f"EXPLAIN EXECUTE listing ({given})".encode()).fetchall()
        filled.execute("DEALLOCATE listing")

    keys = [line.partition("Sort Key: ")[2] for (line,) in plan if "Sort Key" in line]
    assert keys == ["numbered.n"], plan  # the sort of a bounded number of candidates


def test_a_scan_would_be_found(filled: psycopg.Connection) -> None:
    found, _ = scanned(filled, "SELECT 1 FROM jobs WHERE message = 'x'", {})

    assert found == {"jobs"}
