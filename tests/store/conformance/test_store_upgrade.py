"""Migrations; and the previous release can still write while replicas are replaced one by one."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

import pytest

from store.errors import SchemaTooNew, SchemaUnsupported
from store.postgres import connection as postgres_connection
from store.postgres.address import parse
from store.records.archive import ArchivedFile
from store.records.jobs import Claim, Job, Phase, Status, Tracking
from store.rows import job_to_row
from store.sqlite import connection as sqlite_connection
from tests.store.world import NOW

Database: TypeAlias = tuple[ModuleType, Callable[[], None]]


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """The backend's migrations, and a function that brings a new database up to date."""
    if request.param == "sqlite":
        prepare = partial(sqlite_connection.prepare, tmp_path / "receiver.db")
        return sqlite_connection, prepare
    url = request.getfixturevalue("postgres_server").new_schema_url()
    return postgres_connection, partial(postgres_connection.prepare, parse(url))


def test_a_migration_that_fails_leaves_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, prepare = database
    known, more = backend.SCHEMA, "CREATE TABLE more (n int);"
    fails = "INSERT INTO nowhere VALUES (1);"
    prepare()
    monkeypatch.setattr(backend, "SCHEMA", replace(known, upgrades=(*known.upgrades, more, fails)))
    with pytest.raises(Exception, match="nowhere"):
        prepare()

    # The older release still knows the schema, and what the migrations add is not there yet.
    for schema in (known, replace(known, upgrades=(*known.upgrades, more))):
        monkeypatch.setattr(backend, "SCHEMA", schema)
        prepare()


def test_the_database_of_a_newer_release_is_left_alone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, prepare = database
    prepare()
    known = backend.SCHEMA
    with monkeypatch.context() as before:
        before.setattr(backend, "SCHEMA", replace(known, upgrades=known.upgrades[:-1]))
        with pytest.raises(SchemaTooNew, match=f"schema {known.version}, but"):
            prepare()

    prepare()


@pytest.mark.parametrize("version", [1, 16])
def test_no_version_before_2_0_0_can_be_upgraded(version: int) -> None:
    for backend in (sqlite_connection, postgres_connection):
        with pytest.raises(SchemaUnsupported, match=f"1.x \\(schema {version}\\)"):
            backend.SCHEMA.missing(version)


def test_what_is_json_in_a_column_is_written_as_the_previous_release_reads_it() -> None:
    claims = (
        Claim(4, NOW, Status.COMPLETED, "done", {"n": [2**70, None, "\u2028"]}, None),
        Claim(5, NOW, Status.FAILED, None, None, "It failed."),
    )
    archive = ArchivedFile("https://cdn.example/1.mp4", next_try_at=NOW)
    written = Job(
        *("job_1", 1, "ann", "samsar", "create_movie", Status.PENDING, Phase.ACCEPTED, 1, NOW, NOW),
        tracking=Tracking(polls=3, claims=claims, link_missing=True),
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
