"""The schema: numbered, applied once, the same however it was reached."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from store import migrate
from store.migrate import Migration
from store.open import open_store
from store.sqlite import connection
from store.sqlite.connection import MIGRATIONS, prepare
from tests.store.world import JOB_AS_BEFORE_TRACES, rendering


def schema(path: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return [
            *database.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"),
            *database.execute("PRAGMA user_version"),
            *database.execute("PRAGMA application_id"),
        ]


def test_a_migrated_schema_equals_a_fresh_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in range(1, len(MIGRATIONS) + 1):
        monkeypatch.setattr(connection, "MIGRATIONS", MIGRATIONS[:version])
        prepare(tmp_path / "step by step.db")
    prepare(tmp_path / "fresh.db")

    assert schema(tmp_path / "step by step.db") == schema(tmp_path / "fresh.db")


def test_a_database_that_is_up_to_date_is_left_alone(path: Path) -> None:
    before = schema(path)

    prepare(path)

    assert schema(path) == before


NUMBER = len(MIGRATIONS) + 1
NEXT = Migration(
    NUMBER, "colours", "CREATE TABLE colours (name TEXT);\nINSERT INTO meta VALUES (1, 2);"
)
BROKEN = Migration(
    NUMBER, "broken", "CREATE TABLE colours (name TEXT);\nINSERT INTO nowhere VALUES (1);"
)


def test_a_migration_keeps_what_is_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("INSERT INTO meta VALUES ('a', 'b')")
        database.commit()
    monkeypatch.setattr(connection, "MIGRATIONS", [*MIGRATIONS, NEXT])

    prepare(path)

    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM meta").fetchone() == (2,)
        assert database.execute("PRAGMA user_version").fetchone() == (NUMBER,)


async def test_jobs_from_before_traces_go_on_and_so_does_the_release_that_made_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "receiver.db"
    with monkeypatch.context() as before:
        before.setattr(connection, "MIGRATIONS", MIGRATIONS[:1])
        prepare(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("INSERT INTO users (id, name, secret, event_nonce, origin_nonce)"
                         " VALUES (1, 'ann', 's', 'n', 'n')")  # fmt: skip
        database.execute(JOB_AS_BEFORE_TRACES, {"id": "job_1"})
        database.commit()

    store = await open_store(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as database:
        database.execute(JOB_AS_BEFORE_TRACES, {"id": "job_2"})
        database.commit()

    for job_id in ("job_1", "job_2"):
        job, _ = await store.jobs.advance(job_id, rendering())
        assert job.status == "IN_PROGRESS"
        assert await store.jobs.trace_context_of(job_id) is None
    await store.close()


def test_a_migration_that_fails_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = schema(path)
    monkeypatch.setattr(connection, "MIGRATIONS", [*MIGRATIONS, BROKEN])

    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        prepare(path)

    assert schema(path) == before


def test_migrations_are_numbered_without_a_gap(tmp_path: Path) -> None:
    (tmp_path / "0001_one.sql").write_text("SELECT 1;")
    (tmp_path / "0003_three.sql").write_text("SELECT 3;")

    with pytest.raises(ValueError, match="not numbered"):
        migrate.load(tmp_path)


def test_the_schema_is_strict_and_foreign_keys_hold(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        tables = list(database.execute("PRAGMA table_list"))
        assert all(
            row[5] for row in tables if row[2] == "table" and not row[1].startswith("sqlite")
        )
    with closing(connection.connect_writer(path)) as database:
        assert database.execute("PRAGMA foreign_keys").fetchone() == (1,)
        assert database.execute("PRAGMA synchronous").fetchone() == (2,)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
