"""Migrations: numbered, applied once, in one transaction."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from store.sql import read_migrations
from store.sqlite import connection
from store.sqlite.connection import MIGRATIONS, prepare


def schema(path: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return [
            *database.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"),
            *database.execute("PRAGMA user_version"),
            *database.execute("PRAGMA application_id"),
        ]


def test_a_migrated_schema_equals_a_fresh_one(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in range(1, len(MIGRATIONS) + 1):
        monkeypatch.setattr(connection, "MIGRATIONS", MIGRATIONS[:version])
        prepare(tmp_path / "step by step.db")
    fresh = schema(path)
    prepare(path)

    assert schema(tmp_path / "step by step.db") == fresh == schema(path)


def test_migrations_are_numbered_without_a_gap(tmp_path: Path) -> None:
    (tmp_path / "0001_one.sql").write_text("SELECT 1;")
    (tmp_path / "0003_three.sql").write_text("SELECT 3;")

    with pytest.raises(ValueError, match="not numbered"):
        read_migrations(tmp_path)


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
