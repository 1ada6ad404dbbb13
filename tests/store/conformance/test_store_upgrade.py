"""Migrations; and the previous release can still write while replicas are replaced one by one."""

import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

from store.database import Store
from store.errors import SchemaTooNew
from store.open import open_store
from store.postgres import connection as postgres_connection
from store.postgres.address import parse
from store.records.archive import ArchivedFile
from store.records.jobs import Claim, Job, Phase, Status, Tracking
from store.rows import job_to_row
from store.session import Row
from store.sqlite import connection as sqlite_connection
from tests.store.world import NOW


@dataclass
class OldDatabase:
    """A database whose schema is not up to date."""

    backend: ModuleType
    prepare: Callable[[], None]
    execute: Callable[[str], list[Row]]
    open: Callable[[], Awaitable[Store]]


def sqlite(request: pytest.FixtureRequest) -> OldDatabase:
    path: Path = request.getfixturevalue("tmp_path") / "receiver.db"

    def execute(sql: str) -> list[Row]:
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            return database.execute(sql).fetchall()

    prepare = partial(sqlite_connection.prepare, path)
    return OldDatabase(
        sqlite_connection, prepare, execute, partial(open_store, f"sqlite:///{path}", serving=True)
    )


def postgres(request: pytest.FixtureRequest) -> OldDatabase:
    url: str = request.getfixturevalue("postgres_server").new_schema_url()

    def execute(sql: str) -> list[Row]:
        with postgres_connection.connect(parse(url)) as session:
            cursor = session.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    prepare = partial(postgres_connection.prepare, parse(url))
    return OldDatabase(postgres_connection, prepare, execute, partial(open_store, url))


@pytest.fixture(params=[sqlite, postgres])
def old(request: pytest.FixtureRequest) -> OldDatabase:
    make: Callable[[pytest.FixtureRequest], OldDatabase] = request.param
    return make(request)


async def test_a_migration_that_fails_leaves_nothing(
    old: OldDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = old.backend.MIGRATIONS
    broken = "CREATE TABLE more (n int); INSERT INTO nowhere VALUES (1);"
    with monkeypatch.context() as failing:
        failing.setattr(old.backend, "MIGRATIONS", known[:1])
        old.prepare()
        failing.setattr(old.backend, "MIGRATIONS", [*known, broken])
        with pytest.raises(Exception, match="nowhere"):
            await old.open()

    for of_no_migration in ("SELECT trace_context FROM jobs", "SELECT n FROM more"):
        with pytest.raises(Exception, match=r"trace_context|more"):
            old.execute(of_no_migration)
    await (await old.open()).close()


async def test_the_database_of_a_newer_release_is_left_alone(
    old: OldDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    old.prepare()
    known = old.backend.MIGRATIONS
    with monkeypatch.context() as before:
        before.setattr(old.backend, "MIGRATIONS", known[:-1])
        with pytest.raises(SchemaTooNew, match=f"schema {len(known)}, but"):
            await old.open()

    await (await old.open()).close()


def test_what_is_json_in_a_column_is_written_as_the_previous_release_reads_it() -> None:
    claims = (
        Claim(4, NOW, Status.COMPLETED, "done", {"n": [2**70, None, "\u2028"]}, None),
        Claim(5, NOW, Status.FAILED, None, None, "It failed."),
    )
    archive = ArchivedFile("https://cdn.example/1.mp4", next_try_at=NOW)
    written = Job(
        *("job_1", 1, "ann", "samsar", "create_movie", Status.PENDING, Phase.ACCEPTED, 1, NOW, NOW),
        tracking=Tracking(polls=3, claims=claims, result_pending=True),
        archive=(archive,),
    )

    values = job_to_row(written)

    assert json.loads(str(values["tracking"])) == {
        "polls": 3,
        "claims": [
            [4, NOW, "COMPLETED", "done", {"n": [2**70, None, "\u2028"]}, None],
            [5, NOW, "FAILED", None, None, "It failed."],
        ],
        "link_missing": True,
    }
    assert json.loads(str(values["archive"])) == [
        {"link": archive.link, "state": "pending", "next_try_at": NOW, "tries": 0}
    ]
    unchanged = replace(written, tracking=Tracking(), archive=())
    assert {job_to_row(unchanged)[name] for name in ("tracking", "archive")} == {None}
