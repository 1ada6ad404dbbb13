"""No query reads the whole of a table that grows, once the table has rows."""

import re
from collections.abc import Iterator

import psycopg
import pytest

from store.postgres.address import parse
from store.postgres.connection import STATEMENTS, connect, prepare
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
SELECT id, (ARRAY['submit', 'submitting', 'wait', 'poll', 'archive'])[created_at / 2 % 5 + 1],
       created_at, provider, user_id
  FROM jobs WHERE done_at IS NULL;
INSERT INTO events (user_id, seq, nonce, job_id, job_seq, at, data)
SELECT user_id, row_number() OVER (PARTITION BY user_id ORDER BY id), '', id, 1, created_at, ''
  FROM jobs;
INSERT INTO callbacks (job_id, provider, received_at, digest, verdict, headers, body)
SELECT id, provider, created_at, '', CASE WHEN done_at IS NULL THEN 'claimed' ELSE 'applied' END,
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
INSERT INTO ledger (job_id, user_id, provider, kind, created_at, currency, state, amount, reserved,
                    rates)
SELECT id, user_id, provider, kind, created_at, 'USD', 'settled', 1, 1, '{}' FROM jobs;
INSERT INTO budgets (user_id, budget) SELECT id, '5/day' FROM users;
INSERT INTO api_keys (hash, prefix, user_id, admin, created_at)
SELECT lpad(n::text, 64, '0'), 'rk_' || n, n % 200 + 1, FALSE, n FROM generate_series(1, 1000) n;
ANALYZE
"""

READ_WHOLE = {
    # Only an admin reads it, or a key is looked up by its prefix.
    "keys.list-keys": {"api_keys"},
    "keys.list-keys-by-prefix": {"api_keys", "users"},
    # Hardly longer than the list of the keys that have open streams.
    "keys.list-active": {"api_keys"},
    "keys.note-use": {"api_keys"},
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


def generic_plan(connection: psycopg.Connection, sql: str) -> list[str]:
    """The plan that is used after some executions, whatever the values."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    numbered = re.sub(r"%\((\w+)\)s", number, sql)
    given = f" ({', '.join(['NULL'] * len(names))})" if names else ""
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        # For so few rows, a hash join reads all rather than look some up.
        connection.execute("SET LOCAL enable_hashjoin = off")
        connection.execute(f"PREPARE query AS {numbered}".encode())
        rows = connection.execute(f"EXPLAIN EXECUTE query{given}".encode()).fetchall()
        connection.execute("DEALLOCATE query")
    return [line for (line,) in rows]


def scanned(plan: list[str]) -> set[str]:
    """The tables of which a plan scans every row."""
    return {line.split("Seq Scan on ")[1].split()[0] for line in plan if "Seq Scan on" in line}


@pytest.mark.parametrize("query", sorted(SQL.keys() - {"database.begin"}))
def test_no_query_reads_a_table_that_grows(filled: psycopg.Connection, query: str) -> None:
    plan = generic_plan(filled, SQL[query])

    allowed = READ_WHOLE.get(query, set()) | {
        *("users", "budgets", "meta", "walk", "page"),  # a few rows each
        "archive_removals",  # empty, except for what is being removed
    }
    assert scanned(plan) <= allowed, "\n".join(plan)


@pytest.mark.parametrize("query", ["by user", "by state", "all"])
def test_a_list_of_deliveries_sorts_no_history(filled: psycopg.Connection, query: str) -> None:
    plan = generic_plan(filled, SQL[f"deliveries.list-page {query}"])

    keys = [line.partition("Sort Key: ")[2] for line in plan if "Sort Key" in line]
    assert keys == ["numbered.n"], plan  # the sort of a bounded number of candidates


def test_a_scan_would_be_found(filled: psycopg.Connection) -> None:
    assert scanned(generic_plan(filled, "SELECT 1 FROM jobs WHERE message = 'x'")) == {"jobs"}
