"""Connections to one database, and its schema."""

from pathlib import Path
from typing import Any

import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import StrDumperUnknown

from store import migrate
from store.errors import ServerUnfit, StoreCorrupt, StoreUnavailable
from store.postgres.address import Address
from store.postgres.failures import in_one_line, translated

OLDEST = 14
"""The oldest server that is supported."""

MIGRATIONS = migrate.load(Path(__file__).with_name("migrations"))

_LOCK = 0x72637672
"""The advisory lock ("rcvr") under which replicas that start together bring up the schema."""

_APPLICATION = "receiver"
_TABLES = ("users", "jobs", "events", "callbacks", "deliveries")


class _Text(StrDumperUnknown):
    """PostgreSQL's text has no NUL; its picture stands in for it. What has to come back byte by
    byte is JSON, where a NUL is escaped, or bytea."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\N{SYMBOL FOR NULL}"))


ADAPTERS = AdaptersMap(psycopg.adapters)
# Else the size of a number would decide its type, and each mixture be a statement of its own.
ADAPTERS.register_dumper(int, Int8Dumper)
ADAPTERS.register_dumper(str, _Text)


def options(address: Address) -> dict[str, Any]:
    """How every connection is made: each statement a transaction unless one is begun."""
    return {
        "autocommit": True,
        "context": ADAPTERS,
        # A prepared statement belongs to a session.
        "prepare_threshold": None if address.pooled else 5,
    }


def connect(address: Address) -> psycopg.Connection:
    """A connection. Raises `StoreUnavailable`."""
    try:
        return psycopg.connect(address.conninfo, **options(address))
    except psycopg.OperationalError as error:
        raise StoreUnavailable(
            f"PostgreSQL ({address.shown}) cannot be reached: {in_one_line(error)}"
        ) from error


def prepare(address: Address) -> None:
    """Check that the server will do, and bring the schema up to date. Blocks.

    Raises `StoreUnavailable`, `ServerUnfit`, `StoreCorrupt` (the database is of something else) and
    `SchemaTooNew`; then the database is as it was.
    """
    with connect(address) as connection, translated():
        _check_server(connection)
        if _version(connection) != len(MIGRATIONS):
            with connection.transaction():
                # The version is read again under the lock, which the transaction's end gives back.
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                _migrate(connection)


def _check_server(connection: psycopg.Connection) -> None:
    version = connection.info.server_version // 10_000
    if version < OLDEST:
        raise ServerUnfit(f"the server is PostgreSQL {version}, and {OLDEST} or newer is needed")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise ServerUnfit(f"the database's encoding is {encoding}, and UTF8 is needed")


def _migrate(connection: psycopg.Connection) -> None:
    for step in migrate.pending(MIGRATIONS, _version(connection)):
        connection.execute(step.sql.encode())
        connection.execute(
            "INSERT INTO meta (key, value) VALUES ('application', %s), ('schema', %s)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (_APPLICATION, str(step.number)),
        )


def _version(connection: psycopg.Connection) -> int:
    """The number of the last migration. Raises `StoreCorrupt`, `SchemaTooNew`."""
    if not _exists(connection, "meta"):
        if any(_exists(connection, table) for table in _TABLES):
            raise StoreCorrupt("the database is of something else: it has tables by our names")
        return 0
    try:
        known: dict[str, str] = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    except psycopg.errors.UndefinedColumn:
        known = {}
    if known.get("application") != _APPLICATION:
        raise StoreCorrupt("the database is of something else: its table meta is not ours")
    version = int(known["schema"])
    migrate.pending(MIGRATIONS, version)
    return version


def _exists(connection: psycopg.Connection, table: str) -> bool:
    # A query, and not to_regclass(): that one may remember, from before the lock, that a table is
    # not there which another process has made meanwhile.
    row = connection.execute(
        "SELECT 1 FROM pg_tables WHERE schemaname = current_schema AND tablename = %s", (table,)
    ).fetchone()
    return row is not None
