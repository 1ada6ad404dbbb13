"""Connects to a database and migrates its schema."""

import time
from pathlib import Path
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap
from psycopg.errors import DuplicateTable, LockNotAvailable
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import BytesDumper, StrDumperUnknown

from store.errors import StoreCorrupt, StoreLocked, StoreUnavailable, UnsupportedServer
from store.postgres.address import Address
from store.postgres.failures import in_one_line, is_collision, translate_errors
from store.sql import APPLICATION_ID, Schema, Statements

MIN_SERVER_VERSION = 14
"""The oldest supported major version of the server."""

STATEMENTS = Statements(
    Path(__file__).with_name("queries"),
    parameter=r"%(\1)s",
    json_object="json_build_object",
    position="strpos",
    # NUL is replaced as in texts (see `_Text`).
    # E'…' means the same whatever `standard_conforming_strings` is.
    metadata_members=r"jsonb_each_text(CAST(replace(:metadata, E'\\u0000', E'\\u2400') AS jsonb))",
    ledger_members=(
        r"jsonb_each_text(CAST(replace(ledger.metadata, E'\\u0000', E'\\u2400') AS jsonb))"
    ),
    decimal_sum="sum",
    listed_hashes="SELECT json_array_elements_text(CAST(:hashes AS json))",
    listed_users="SELECT CAST(json_array_elements_text(CAST(:users AS json)) AS bigint)",
    for_update="FOR NO KEY UPDATE",
    skip_locked="FOR UPDATE SKIP LOCKED",
    unlikely="",
    unfinished_by_user="",
)
SCHEMA = Schema.read(Path(__file__).parent)

MIGRATION_TRIES = 20
"""How often the migrations are tried if they deadlock with writes, or have to wait for a lock."""
MIGRATION_LOCK_TIMEOUT = "500ms"
"""How long a migration waits for a lock: everything else waits behind it meanwhile."""
MIGRATION_PAUSE = 2.0
"""Seconds between a try that did not get its lock and the next one."""

_APPLICATION = "receiver"


class _Text(StrDumperUnknown):
    """Replaces NUL, which PostgreSQL's text cannot store, by U+2400. Values that must survive
    unchanged are JSON, where NUL is escaped, or bytea."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\N{SYMBOL FOR NULL}"))


class _Bytes(BytesDumper):
    """In hex format. Without `standard_conforming_strings`, libpq would double the backslash."""

    def dump(self, obj: Buffer) -> Buffer:
        return b"\\x" + bytes(obj).hex().encode()


ADAPTERS = AdaptersMap(psycopg.adapters)
# Otherwise an int's type depends on its size, and each combination is prepared separately.
ADAPTERS.register_dumper(int, Int8Dumper)
ADAPTERS.register_dumper(str, _Text)
ADAPTERS.register_dumper(bytes, _Bytes)


def options(address: Address) -> dict[str, Any]:
    """psycopg's options for every connection; autocommit outside explicit transactions."""
    return {
        "autocommit": True,
        "context": ADAPTERS,
        # A prepared statement belongs to a session.
        "prepare_threshold": None if address.pooled else 5,
    }


def connect(address: Address) -> psycopg.Connection:
    """Open a connection. Raises `StoreUnavailable`."""
    try:
        connection = psycopg.connect(address.conninfo, **options(address))
    except psycopg.OperationalError as error:
        raise StoreUnavailable(
            f"PostgreSQL ({address.display_name}) cannot be reached: {in_one_line(error)}"
        ) from error
    # Under a lock, what was committed before must be visible.
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    return connection


def prepare(address: Address) -> None:
    """Check the server and migrate the schema. Blocks.

    Raises `StoreUnavailable`, `UnsupportedServer`, `StoreCorrupt` (the database belongs to another
    application), `SchemaTooNew` and `SchemaUnsupported`; the database is then unchanged.
    """
    with connect(address) as connection, translate_errors():
        _check_server(connection)
        tries = 0
        while _version(connection) != SCHEMA.version:
            tries += 1
            try:
                with connection.transaction():
                    # Replicas may start together. The version is read again under the lock, which
                    # lasts until the commit.
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", (APPLICATION_ID,))
                    connection.execute(f"SET LOCAL lock_timeout = '{MIGRATION_LOCK_TIMEOUT}'")
                    _migrate(connection)
            except DuplicateTable as error:
                raise StoreCorrupt(
                    "the database belongs to another application: it has tables with our names"
                ) from error
            except LockNotAvailable as error:
                if tries == MIGRATION_TRIES:
                    raise StoreLocked(
                        "the schema cannot be upgraded while a long transaction, such as a dump,"
                        " uses the tables: wait for its end (pg_stat_activity shows it)"
                    ) from error
                time.sleep(MIGRATION_PAUSE)
            except psycopg.Error as error:
                # Other replicas may be writing, and lock tables in another order.
                if tries == MIGRATION_TRIES or not is_collision(error):
                    raise


def _check_server(connection: psycopg.Connection) -> None:
    version = connection.info.server_version // 10_000
    if version < MIN_SERVER_VERSION:
        raise UnsupportedServer(
            f"the server is PostgreSQL {version}, but {MIN_SERVER_VERSION} or newer is needed"
        )
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise UnsupportedServer(f"the database's encoding is {encoding}, but UTF8 is needed")


def _migrate(connection: psycopg.Connection) -> None:
    for script in SCHEMA.missing(_version(connection)):
        connection.execute(script.encode())
    connection.execute(
        "INSERT INTO meta (key, value) VALUES ('application', %s), ('schema', %s)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (_APPLICATION, str(SCHEMA.version)),
    )


def _version(connection: psycopg.Connection) -> int:
    """The version of the schema, 0 if there is none. Raises `StoreCorrupt`, `SchemaTooNew` and
    `SchemaUnsupported`."""
    # Not by to_regclass(), which may have cached, before the lock, that the table does not exist.
    found = connection.execute(
        "SELECT 1 FROM pg_tables WHERE schemaname = current_schema AND tablename = 'meta'"
    )
    if found.fetchone() is None:
        return 0
    try:
        rows = connection.execute(
            "SELECT key, value FROM meta WHERE key IN ('application', 'schema')"
        )
        known: dict[str, str] = dict(rows.fetchall())
    except psycopg.errors.UndefinedColumn:
        known = {}
    if known.get("application") != _APPLICATION:
        raise StoreCorrupt("the database belongs to another application: table meta is not ours")
    version = int(known["schema"])
    SCHEMA.missing(version)
    return version
