"""Opening a PostgreSQL store, and how that can fail."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from store.errors import (
    AddressInvalid,
    BackupElsewhere,
    SchemaUnsupported,
    StoreCorrupt,
    StoreError,
    StoreLocked,
    StoreUnavailable,
    UnsupportedServer,
)
from store.job_reads import JobFilter
from store.open import back_up_store, open_store
from store.postgres import connection
from store.postgres.address import parse
from store.postgres.connection import SCHEMA, connect, prepare
from store.sql import Schema
from tests.store.world import World, new, opened
from tests.support.postgres_server import PostgresServer
from tests.support.service import eventually

RELEASED = Path(__file__).with_name("schema_17.sql").read_text("utf-8")
"""The schema of release 2.0.0."""
WAITING = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'jobs'::regclass"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://u:hunter2@h/d?sslmod=require", "no parameter sslmod"),
        ("postgresql://u:hunter2@h:port/d", "user:password@host:port/database is needed"),
        ("postgresql://u:hunter2@[::1/d", "user:password@host:port/database is needed"),
        ("postgresql://u:pass@hunter2@127.0.0.1:1/d", "@ in a user or password is written %40"),
        ("postgresql://u:pass#@hunter2@127.0.0.1:1/d", "@ in a user or password is written %40"),
        ("postgresql://u:pa/ss?hunter2=@h/d", "user:password@host:port/database is needed"),
        ("postgresql://u:hunter2@h/d?listen=h:port", "listen must be host:port"),
        ("postgres://u:hunter2@h/d", "begin with sqlite:/// or postgresql://"),
    ],
)
async def test_a_wrong_address_is_reported_without_its_password(url: str, words: str) -> None:
    with pytest.raises(AddressInvalid, match=words) as caught:
        await open_store(url)

    assert "hunter2" not in str(caught.value)


async def test_a_missing_server_database_or_user_is_reported(
    postgres_server: PostgresServer,
) -> None:
    for url, words in [
        ("postgresql://u:hunter2@127.0.0.1:1/d", "refused"),
        (postgres_server.url("nowhere"), 'database "nowhere" does not exist'),
        (postgres_server.url(user="nobody"), 'role "nobody" does not exist'),
    ]:
        with pytest.raises(StoreUnavailable, match=words) as caught:
            await open_store(url)
        assert "hunter2" not in str(caught.value)
        assert "\n" not in str(caught.value)


async def test_an_unsuitable_server(
    postgres_server: PostgresServer, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres_server.run(
        "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    )
    with pytest.raises(UnsupportedServer, match="UTF8 is needed"):
        await open_store(postgres_server.url("latin"))

    monkeypatch.setattr(connection, "MIN_SERVER_VERSION", 99)
    with pytest.raises(UnsupportedServer, match="99 or newer is needed"):
        await open_store(postgres_url)


async def test_a_role_that_lacks_rights_is_told_which(postgres_server: PostgresServer) -> None:
    url = postgres_server.new_schema_url().replace("receiver@", "guest@")
    schema = url.rpartition("%3D")[2]
    postgres_server.run("CREATE ROLE guest LOGIN")
    with pytest.raises(StoreUnavailable, match="search_path"):
        await open_store(url)

    postgres_server.run(f"GRANT USAGE ON SCHEMA {schema} TO guest")
    with pytest.raises(StoreUnavailable, match=f"denied for schema {schema}: .*GRANT CREATE"):
        await open_store(url)


@pytest.mark.parametrize(
    "table", ["jobs (n int)", "meta (key text, value text)", "meta (k text)", "users (n int)"]
)
async def test_a_database_of_another_application_is_left_alone(
    postgres_server: PostgresServer, table: str
) -> None:
    url = postgres_server.new_schema_url()
    with connect(parse(url)) as session:
        session.execute(f"CREATE TABLE {table}".encode())

        with pytest.raises(StoreCorrupt, match="belongs to another application"):
            await open_store(url)

        tables = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema"
        assert session.execute(tables.encode()).fetchone() == (1,)


async def test_replicas_can_start_together_whatever_the_settings_of_their_role(
    postgres_server: PostgresServer,
) -> None:
    url = postgres_server.new_schema_url()
    role = url.rpartition("%3D")[2]
    postgres_server.run(f"CREATE ROLE {role} SUPERUSER LOGIN")
    for setting in (
        "client_encoding = 'LATIN1'",
        "default_transaction_isolation = 'serializable'",
        "standard_conforming_strings = off",
    ):
        postgres_server.run(f"ALTER ROLE {role} SET {setting}")
    url = url.replace("receiver@", f"{role}@")

    await asyncio.gather(*(asyncio.to_thread(prepare, parse(url)) for _ in range(6)))

    async with opened(url) as store:
        world = await World.begin(store)
        job = await world.create(label="a \\ and a \N{CAT}", metadata={"cat": "\N{CAT}"})
        where = JobFilter(label="\\ and", metadata={"cat": "\N{CAT}"})
        assert (await store.jobs.list_page(world.ann.id, where, None, 9))[0] == [job]
        (event,) = await store.events.after_for_user(world.ann.id, 0, 9)
        assert event.data == new(job).event


async def test_a_backup_needs_postgresqls_own_tools(tmp_path: Path) -> None:
    with pytest.raises(BackupElsewhere, match="pg_dump"):
        await back_up_store("postgresql://ada@db/receiver", tmp_path / "copy.dump")

    assert issubclass(BackupElsewhere, StoreError)
    assert not list(tmp_path.iterdir())


async def test_a_server_that_does_not_sync_is_reported(here: World) -> None:
    found = await here.store.durability()  # the tests' server does not sync, for speed

    assert not found.crash_safe
    assert "fsync off" in found.detail
    assert found.advice is not None
    assert "fsync" in found.advice


async def test_a_standby_that_may_lag_is_reported() -> None:
    with PostgresServer.running(fsync="on", full_page_writes="on") as server:
        for hosts, is_advised in [("127.0.0.1", False), ("127.0.0.1,127.0.0.1", True)]:
            async with opened(server.url().replace("127.0.0.1", hosts)) as store:
                found = await store.durability()
            assert found.crash_safe
            assert ("synchronous_standby_names" in (found.advice or "")) is is_advised


def test_an_address_says_where_to_listen() -> None:
    direct = parse("postgresql://u:p@db:5432/d")
    pooled = parse("postgresql://u:p@pooler:6432/d?listen=db:5433&application_name=me")

    assert (direct.listen, direct.pooled) == (direct.conninfo, False)
    assert "p@" not in direct.display_name
    assert pooled.pooled
    assert pooled.listen is not None
    assert "host=db port=5433" in pooled.listen
    assert "host=pooler port=6432" in pooled.conninfo
    assert "application_name=me" in pooled.conninfo
    assert parse("postgresql://u:p@pooler:6432/d?listen=none").listen is None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("u@db/d?options=-c%20a%3Dx%20-ca%3Db&password=a+b", "options='-c a=x -ca=b'"),
        ("u@db/d?options=-c%20a%3Dx%20-ca%3Db&password=a+b", "password=a+b"),
        ("/d?host=/tmp/s&port=92&user=u&listen=none", "user=u dbname=d host=/tmp/s port=92"),
        ("u@one,two:5433/d", "host=one,two port=,5433"),
    ],
)
def test_an_address_has_what_the_driver_knows(url: str, words: str) -> None:
    assert words in parse(f"postgresql://{url}").conninfo


def with_one_more(migration: str) -> Schema:
    """The schema with one more migration."""
    return replace(SCHEMA, upgrades=(*SCHEMA.upgrades, migration))


CATALOG = """
SELECT 'column', c.relname, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod),
       a.attnotnull, a.attidentity, collation_name, pg_get_expr(d.adbin, d.adrelid)
  FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
  LEFT JOIN information_schema.columns i
         ON i.table_schema = current_schema AND i.table_name = c.relname
        AND i.column_name = a.attname
 WHERE c.relnamespace = CAST(current_schema AS regnamespace)
UNION ALL
SELECT 'constraint', conname, contype, CAST(CAST(conrelid AS regclass) AS name),
       pg_get_constraintdef(oid), convalidated, NULL, NULL, NULL
  FROM pg_constraint WHERE connamespace = CAST(current_schema AS regnamespace)
UNION ALL
SELECT 'index', indexname, NULL, NULL, replace(indexdef, current_schema || '.', ''), NULL, NULL,
       NULL, NULL
  FROM pg_indexes WHERE schemaname = current_schema
UNION ALL
SELECT 'view', viewname, NULL, NULL, definition, NULL, NULL, NULL, NULL
  FROM pg_views WHERE schemaname = current_schema
UNION ALL
SELECT 'meta', key, NULL, NULL, value, NULL, NULL, NULL, NULL FROM meta
"""


def test_an_upgraded_database_is_like_a_new_one(postgres_server: PostgresServer) -> None:
    catalogs = []
    for before in (RELEASED, "SELECT 1"):
        address = parse(postgres_server.new_schema_url())
        with connect(address) as session:
            session.execute(before.encode())
            prepare(address)
            catalogs.append(sorted(map(str, session.execute(CATALOG.encode()).fetchall())))
    assert len(catalogs[0]) > 200
    assert catalogs[0] == catalogs[1]


async def test_the_database_of_1_x_is_refused(postgres_server: PostgresServer) -> None:
    url = postgres_server.new_schema_url()
    with connect(parse(url)) as session:
        session.execute(RELEASED.encode())
        session.execute("UPDATE meta SET value = '10' WHERE key = 'schema'")
        with pytest.raises(SchemaUnsupported, match=r"1.x \(schema 10\)"):
            await open_store(url)
        assert session.execute("SELECT count(*) FROM removed_events").fetchone() == (0,)


def test_a_migration_that_deadlocks_with_a_write_is_tried_again(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = parse(postgres_server.new_schema_url())
    prepare(address)
    once = "IF nextval('tries') = 1 THEN RAISE deadlock_detected; END IF"
    monkeypatch.setattr(connection, "SCHEMA", with_one_more(f"DO $$ BEGIN {once}; END $$"))
    with connect(address) as session:
        session.execute("CREATE SEQUENCE tries")  # a rollback does not take its numbers back
        prepare(address)
        assert session.execute("SELECT last_value FROM tries").fetchone() == (2,)


async def test_an_upgrade_takes_no_lock_until_a_write_of_the_previous_release_has_ended(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = parse(postgres_server.new_schema_url())
    monkeypatch.setattr(connection, "MIGRATION_LOCK_TIMEOUT", "20s")
    with connect(address) as writer, connect(address) as watcher:
        writer.execute(RELEASED.encode())
        with writer.transaction():
            writer.execute("LOCK TABLE jobs IN ROW EXCLUSIVE MODE")
            upgrade = asyncio.create_task(asyncio.to_thread(prepare, address))
            await eventually(
                lambda: asyncio.to_thread(watcher.execute, WAITING), lambda rows: rows.rowcount > 0
            )
            writer.execute("LOCK TABLE callbacks IN ROW EXCLUSIVE MODE NOWAIT")
        await upgrade


async def test_a_migration_does_not_let_others_wait_behind_a_long_transaction(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MIGRATION_LOCK_TIMEOUT", "1ms")
    monkeypatch.setattr(connection, "MIGRATION_PAUSE", 0.01)
    monkeypatch.setattr(connection, "MIGRATION_TRIES", 3)
    address = parse(postgres_server.new_schema_url())
    await asyncio.to_thread(prepare, address)
    monkeypatch.setattr(connection, "SCHEMA", with_one_more("ALTER TABLE jobs ADD extra text"))
    with connect(address) as dump:
        dump.autocommit = False
        dump.execute("LOCK TABLE jobs IN ACCESS SHARE MODE")
        with pytest.raises(StoreLocked, match="while a long transaction, such as a dump"):
            await asyncio.to_thread(prepare, address)
        monkeypatch.setattr("store.postgres.connection.time.sleep", lambda _: dump.rollback())
        await asyncio.to_thread(prepare, address)
        dump.execute("SELECT extra FROM jobs")
