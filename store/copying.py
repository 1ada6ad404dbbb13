"""From SQLite to PostgreSQL: everything that is kept, once, whole or not at all."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import psycopg

from store.errors import StoreUnavailable, TargetNotEmpty
from store.postgres.address import parse
from store.postgres.connection import connect, prepare
from store.postgres.failures import translated as postgres_errors
from store.sqlite.connection import connect_reader
from store.sqlite.connection import prepare as prepare_sqlite
from store.sqlite.failures import translated as sqlite_errors
from store.sqlite.lockfile import ServingLock

TABLES = (
    "users",
    "api_keys",
    "jobs",
    "job_inputs",
    "job_metadata",
    "due",
    "submission_holds",
    "events",
    "removed_events",
    "callbacks",
    "notes",
    "deliveries",
    "attempts",
    "idempotency_keys",
)
"""Whoever is referred to comes first."""

NUMBERED = ("users", "callbacks", "notes")
"""Tables whose ids the database counts."""


def copy_to_postgres(source: Path, url: str) -> Mapping[str, int]:
    """Copy the SQLite database at `source` into the empty PostgreSQL database at `url`, whose
    schema is made; how many rows each table has. Blocks.

    The source is locked meanwhile, as by a service, and left as it was; the target is one
    transaction, whose rows are counted again before its commit. Raises `StoreInUse` where a service
    runs on the source, `TargetNotEmpty`, and as `open_store` does on either.
    """
    address = parse(url)
    if not source.exists():
        raise StoreUnavailable(f"there is no database at {source}")
    source = source.resolve()
    lock = ServingLock.take(source)
    try:
        prepare_sqlite(source)
        prepare(address)
        with (
            sqlite_errors(),
            postgres_errors(),
            closing(connect_reader(source)) as old,
            connect(address) as new,
            new.transaction(),
        ):
            # Whoever serves from the target meanwhile waits here, or we do.
            new.execute("LOCK TABLE users IN EXCLUSIVE MODE")
            if new.execute("SELECT 1 FROM users LIMIT 1").fetchone() is not None:
                raise TargetNotEmpty(f"something is kept at {address.shown} already")
            old.execute("BEGIN")
            return {table: _copy(old, new, table) for table in TABLES}
    finally:
        lock.release()


def _copy(old: sqlite3.Connection, new: psycopg.Connection, table: str) -> int:
    """Copy one table, and count what came."""
    types: dict[str, str] = dict(
        new.execute(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = current_schema AND table_name = %s",
            (table,),
        ).fetchall()
    )
    cursor = old.execute(f"SELECT * FROM {table}")
    columns = [name for name, *_ in cursor.description]
    flags = [types[column] == "boolean" for column in columns]
    with (
        new.cursor() as target,
        target.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN".encode()) as copy,
    ):
        for row in _rows(cursor, flags):
            copy.write_row(row)
    if table in NUMBERED:
        new.execute(
            f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id))"
            f" FROM {table} HAVING max(id) IS NOT NULL".encode()
        )
    (before,) = old.execute(f"SELECT count(*) FROM {table}").fetchone()
    ((arrived,),) = new.execute(f"SELECT count(*) FROM {table}".encode()).fetchall()
    if arrived != before:
        raise StoreUnavailable(f"of {before} rows of {table}, {arrived} have arrived")
    return int(before)


def _rows(cursor: sqlite3.Cursor, flags: list[bool]) -> Iterator[list[object]]:
    for row in cursor:
        yield [
            bool(value) if is_flag and value is not None else value
            for value, is_flag in zip(row, flags, strict=True)
        ]
