"""Databases of earlier releases, killed amid their work: 2.0.0's continues under this release, that
of 1.x is refused.

`schema_7.sql` (1.0.0) and `schema_17.sql` (2.0.0) are such databases as text, which never change. A
later release's is stored beside them, under the number of its schema.
"""

import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest

from store.errors import SchemaUnsupported
from store.open import back_up_store, open_store
from store.sqlite import connection
from store.sqlite.connection import prepare
from tests.http_api.event_stream import event_stream
from tests.store.sqlite.conftest import address
from tests.support.service import (
    JOB,
    ShiftedClock,
    history_of,
    job_of,
    listed,
    running_service,
    wait_for_job,
)

KEY = "rk_" + 8 * "kept0" + "key"
COMPLETED, CANCELED = "job_01M97XYV0FSA65EDSQ2V641VNW", "job_01M97XYVJEN20F9K8TWS4HQX11"
ACCEPTED = ("job_01M97XYVFXB0CP89DYKSMK06Y9", "job_01M97XYVGWCEZ0QGBT2NQ9YSSR")
QUEUED = "job_01M97XYVHE5RJWE8JR19DB385T"
ORDER = JOB | {"metadata": {"order": "1"}, "webhookUrl": "https://hooks.example/in"}
LEFT_AT = 1_796_636_373_000
"""Soon after the last time in the file: nothing is old yet, and no deadline has passed."""
DAY = 24 * 3_600_000


def database_of(schema: int, folder: Path) -> Path:
    """The database as the release with this schema left it."""
    path = folder / "receiver.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(Path(__file__).with_name(f"schema_{schema}.sql").read_text("utf-8"))
    return path


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return database_of(17, tmp_path)


@asynccontextmanager
async def client_at(kept: Path, moment: int) -> AsyncIterator[httpx.AsyncClient]:
    """The client of the jobs' user with the old key, and the service, started at this time."""
    clock = ShiftedClock()
    clock.ahead_ms = moment - clock.now()
    async with running_service(kept.parent, clock=clock, poll_first=0.1, poll_min=0.1) as service:
        yield service.client(KEY)


def test_an_upgraded_database_is_like_a_new_one(kept: Path, tmp_path: Path) -> None:
    prepare(tmp_path / "fresh.db")

    prepare(kept)

    assert sorted(structure(kept)) == sorted(structure(tmp_path / "fresh.db"))
    with closing(sqlite3.connect(kept)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []


def structure(path: Path) -> Iterator[str]:
    """All that the catalog knows, but the order of columns: migrations add them at the end."""
    with closing(sqlite3.connect(path)) as database:
        for name in ("user_version", "application_id"):
            yield f"{name} {database.execute(f'PRAGMA {name}').fetchone()}"
        schema = "SELECT type, name, sql FROM sqlite_schema"
        for kind, name, sql in database.execute(schema).fetchall():
            if kind != "table":
                yield f"{kind} {name}: {' '.join((sql or '').split())}"
                continue
            yield f"{name}: {database.execute('PRAGMA table_list(' + name + ')').fetchone()[2:]}"
            for pragma in ("table_xinfo", "foreign_key_list", "index_list"):
                rows = database.execute(f"PRAGMA {pragma}({name})").fetchall()
                yield from (f"{name} {pragma}: {row[1:]}" for row in rows)
            yield from (f"{name}: {check}" for check in checks(sql))


def checks(sql: str) -> Iterator[str]:
    """Every CHECK in a table's text."""
    text = " ".join(re.sub("--.*", "", sql).split())
    for begin in re.finditer(r"CHECK \(", text):
        depth, end = 1, begin.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        yield text[begin.start() : end]


async def test_unfinished_jobs_continue_and_finished_jobs_are_unchanged(kept: Path) -> None:
    async with client_at(kept, LEFT_AT) as client:
        phases = {job["request_id"]: job["phase"] for job in await listed(client, "jobs")}
        assert phases == {
            **dict.fromkeys((COMPLETED, CANCELED), "finished"),
            **dict.fromkeys(ACCEPTED, "accepted"),
            QUEUED: phases[QUEUED],
        }
        await wait_for_job(client, QUEUED, status="COMPLETED")

        again = await client.post("/v1/jobs", json=ORDER, headers={"Idempotency-Key": "order-1"})
        assert again.json()["request_id"] == COMPLETED
        completed = await job_of(client, COMPLETED)
        with closing(sqlite3.connect(kept)) as database:
            ((nonce,),) = database.execute("SELECT nonce FROM events WHERE seq = 1").fetchall()
        async with event_stream(client, f"/v1/jobs/{COMPLETED}/events", f"1.{nonce}") as stream:
            updates = [frame.data for frame in await stream.rest() if frame.event == "update"]
        assert [job["seq"] for job in updates] == [2, 3, 4, 5, 6, 7, 8]
        assert updates[-1].items() <= completed.items()
        callbacks = await history_of(client, COMPLETED, "callback")
        assert [line["verdict"] for line in callbacks] == [*3 * ["applied"], "confirmed"]
        pending = (await client.get("/v1/deliveries", params={"state": "pending"})).json()
        assert {each["request_id"] for each in pending["deliveries"]} == {COMPLETED}

    # The provider has forgotten the jobs, which is no answer: they live another day.
    async with client_at(kept, LEFT_AT + 2 * DAY) as client:
        for request_id in ACCEPTED:
            await wait_for_job(client, request_id, status="FAILED")


def test_a_callback_that_1_0_0_left_unapplied_stays_as_one_that_failed(kept: Path) -> None:
    with closing(sqlite3.connect(kept)) as database:
        database.execute("UPDATE callbacks SET verdict = 'waiting' WHERE id = 3")
        database.commit()

    prepare(kept)

    with closing(sqlite3.connect(kept)) as database:
        verdicts = database.execute("SELECT id, verdict FROM callbacks ORDER BY id").fetchall()
    assert verdicts == [(1, "applied"), (2, "applied"), (3, "failed"), (4, "confirmed")]


async def test_the_database_of_1_x_is_refused_and_left_unchanged(tmp_path: Path) -> None:
    path = database_of(7, tmp_path)
    content = path.read_bytes()
    for serving in (False, True):
        with pytest.raises(SchemaUnsupported, match=r"made by receiver 1\.x"):
            await open_store(address(path), serving=serving)
    with pytest.raises(SchemaUnsupported):
        await back_up_store(address(path), tmp_path / "copy.db")

    assert path.read_bytes() == content


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
