"""Copies a SQLite store to PostgreSQL, all of it or nothing."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import psycopg

from store.database import LEASES
from store.errors import StoreUnavailable, TargetNotEmpty
from store.postgres.address import parse
from store.postgres.connection import connect, prepare
from store.postgres.failures import translate_errors as postgres_errors
from store.sqlite.connection import STATEMENTS, connect_reader, connect_writer
from store.sqlite.connection import prepare as prepare_sqlite
from store.sqlite.failures import translate_errors as sqlite_errors
from store.sqlite.lockfile import real_path, serving_lock

NUMBERED = ("users", "callbacks", "notes")
"""Tables whose ids come from a sequence."""

_SQL = STATEMENTS.load("database")


def copy_to_postgres(source: Path, url: str) -> Mapping[str, int]:
    """Copy the SQLite database at `source` into the empty PostgreSQL database at `url`, whose
    schema is created; returns the number of rows of each table. Blocks.

    The source is locked meanwhile, as if a service ran on it. The target is filled in one
    transaction, and its rows are counted before the commit. Then the source is marked as moved, and
    no service can run on it any more. Raises `StoreInUse` if a service runs on the source,
    `TargetNotEmpty`, and what `open_store` raises for either; the source is then unchanged, except
    that its schema may have been upgraded.

    A crash between the two commits is harmless: until the source is marked, the target is marked as
    a copy, so its unsent jobs are not sent from there, even if the source is used again. If the
    source is itself an unused copy, or has moved before, that mark stays on the target.
    """
    address = parse(url)
    if not source.exists():
        raise StoreUnavailable(f"there is no database at {source}")
    source = real_path(source)
    with serving_lock(source):
        prepare_sqlite(source)
        prepare(address)
        with (
            sqlite_errors(),
            postgres_errors(),
            closing(connect_reader(source)) as old,
            connect(address) as new,
        ):
            with new.transaction():
                _begin_copy(new, address.display_name)
                old.execute("BEGIN")
                copied = {table: _copy(old, new, table) for table in _tables(old)}
                old.execute("COMMIT")
                # The lock on the source shows that no holder is running.
                for statement in LEASES:
                    new.execute(_SQL[statement].encode())
            # Unsent submissions may have been sent from the database that the source came from.
            stays_a_copy = old.execute(_SQL["read-unsure-mark"]).fetchone() is not None
            _mark_moved(source, address.display_name)
            if not stays_a_copy:
                new.execute(_SQL["remove-copy-mark"].encode())
            return copied


def _tables(old: sqlite3.Connection) -> list[str]:
    """Our tables except `meta`, in the order of their creation: a table comes after those that it
    refers to."""
    found = old.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'meta'"
        " AND name NOT GLOB 'sqlite_*' ORDER BY rowid"
    )
    return [name for (name,) in found]


def _begin_copy(new: psycopg.Connection, display_name: str) -> None:
    """Mark the target, which messages call `display_name`, as a copy. Raises `TargetNotEmpty`."""
    # Its commit must be on disk before the source is marked as moved.
    new.execute("SET LOCAL synchronous_commit = on")
    # Excludes a service that starts on the target at the same time.
    new.execute("LOCK TABLE users IN EXCLUSIVE MODE")
    if new.execute("SELECT 1 FROM users LIMIT 1").fetchone() is not None:
        raise TargetNotEmpty(f"{display_name} already contains data")
    new.execute(_SQL["mark-copy"].encode())


def _mark_moved(source: Path, to: str) -> None:
    """Record that the source has moved: a service that opens it gets an error that names `to`."""
    with closing(connect_writer(source)) as connection:
        connection.execute(_SQL["mark-moved"], {"to": to})


def _copy(old: sqlite3.Connection, new: psycopg.Connection, table: str) -> int:
    """Copy one table; returns its number of rows, which is checked."""
    rows = old.execute(f"SELECT * FROM {table}")
    columns = ", ".join(name for name, *_ in rows.description)
    with (
        new.cursor() as target,
        target.copy(f"COPY {table} ({columns}) FROM STDIN".encode()) as copy,
    ):
        for row in rows:
            copy.write_row(row)  # as text, in which 0 and 1 are valid booleans
    if table in NUMBERED:
        new.execute(
            f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id))"
            f" FROM {table} HAVING max(id) IS NOT NULL".encode()
        )
    (before,) = old.execute(f"SELECT count(*) FROM {table}").fetchone()
    ((arrived,),) = new.execute(f"SELECT count(*) FROM {table}".encode()).fetchall()
    if arrived != before:
        raise StoreUnavailable(f"only {arrived} of {before} rows of {table} were copied")
    return int(before)
