"""Databases of earlier releases, killed amid their work, that continue under this release.

`schema_4.sql` (0.1.0) and `schema_7.sql` (1.0.0) are such databases as text, which never change. A
later release's is stored beside them, under the number of its schema.
"""

import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest

from store.sqlite import connection
from store.sqlite.connection import prepare
from tests.http_api.event_stream import event_stream
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
COMPLETED, CANCELED = "job_01M8C5X41QP3E2509F7MG0XVHE", "job_01M8C5X5380DT2HVQDYH72VWHE"
RENDERING, ACCEPTED = "job_01M8C5X6C7BK485TQWTJS394SY", "job_01M8C5XG6CHTJJRWH5Y9YR07HV"
UNCONFIRMED, SUBMITTING = "job_01M8C5X58VZD90VTBX7JX02HZ9", "job_01M8C5XG932CS1V0NZQPQD0E6Y"
QUEUED = "job_01M8C5XG9HJ6SQEHTME7NDA414"
PHASES = {
    COMPLETED: "finished",
    CANCELED: "finished",
    RENDERING: "rendering",
    ACCEPTED: "accepted",
    UNCONFIRMED: "submit_unconfirmed",
    SUBMITTING: "submit_unconfirmed",  # it may or may not have been sent
}
ORDER = JOB | {"metadata": {"order": "1"}, "webhookUrl": "https://hooks.example/in"}
CURSOR = "4.3609e7c37b88"
LEFT_AT = 1_795_705_200_000
"""Soon after the last time in the file: nothing is old yet, and no deadline has passed."""
QUEUED_7, UNAPPLIED_7 = "job_01M8VRXV6580K6NH3P1T6MNZ23", "job_01M8VRXQ66ZF6EVA29PZZZ8CXG"
LEFT_AT_7 = 1_796_228_500_000
DAY = 24 * 3_600_000


def database_of(schema: int, folder: Path) -> Path:
    """The database as the release with this schema left it."""
    path = folder / "receiver.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(Path(__file__).with_name(f"schema_{schema}.sql").read_text("utf-8"))
    return path


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return database_of(4, tmp_path)


@asynccontextmanager
async def client_at(kept: Path, moment: int) -> AsyncIterator[httpx.AsyncClient]:
    """The client of the jobs' user with the old key, and the service, started at this time."""
    clock = ShiftedClock()
    clock.ahead_ms = moment - clock.now()
    async with running_service(kept.parent, clock=clock, poll_first=0.1, poll_min=0.1) as service:
        yield service.client(KEY)


@pytest.mark.parametrize("old", [4, 7])
def test_an_old_schema_becomes_that_of_a_new_database(old: int, tmp_path: Path) -> None:
    """So no released migration has been changed since."""
    kept = database_of(old, tmp_path)
    prepare(tmp_path / "fresh.db")

    prepare(kept)

    assert without_comments(kept) == without_comments(tmp_path / "fresh.db")
    with closing(sqlite3.connect(kept)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []


def without_comments(path: Path) -> list[tuple[str, ...]]:
    """The schema without comments, whose words may change at any time."""
    with closing(sqlite3.connect(path)) as database:
        schema = [
            *database.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"),
            *database.execute("PRAGMA user_version"),
            *database.execute("PRAGMA application_id"),
        ]
    return [
        tuple(" ".join(re.sub("--.*", "", str(column)).split()) for column in row) for row in schema
    ]


async def test_unfinished_jobs_continue_and_finished_jobs_are_unchanged(kept: Path) -> None:
    async with client_at(kept, LEFT_AT) as client:
        jobs = (await client.get("/v1/jobs")).json()["jobs"]
        phases = {job["request_id"]: job["phase"] for job in jobs}
        assert phases == PHASES | {QUEUED: phases[QUEUED]}
        await wait_for_job(client, QUEUED, status="COMPLETED")

        # A stored first answer is repeated unchanged: it lacks members that today's OpenAPI
        # document requires.
        client.event_hooks, hooks = {}, client.event_hooks
        again = await client.post("/v1/jobs", json=ORDER, headers={"Idempotency-Key": "order-1"})
        client.event_hooks = hooks
        assert again.json()["request_id"] == COMPLETED
        completed = await job_of(client, COMPLETED)
        async with event_stream(client, f"/v1/jobs/{COMPLETED}/events", CURSOR) as stream:
            updates = [frame.data for frame in await stream.rest() if frame.event == "update"]
        assert [job["seq"] for job in updates] == [5, 6, 7, 8]
        assert updates[-1].items() <= completed.items()
        callbacks = await history_of(client, COMPLETED, "callback")
        assert [line["verdict"] for line in callbacks] == [*3 * ["applied"], "confirmed"]
        pending = (await client.get("/v1/deliveries", params={"state": "pending"})).json()
        assert {each["request_id"] for each in pending["deliveries"]} == {COMPLETED, RENDERING}

    # The provider has forgotten the jobs, which is no answer: they live another day.
    async with client_at(kept, LEFT_AT + 2 * DAY) as client:
        for request_id in (RENDERING, ACCEPTED):
            await wait_for_job(client, request_id, status="FAILED")
        for request_id in (SUBMITTING, UNCONFIRMED):
            job = await wait_for_job(client, request_id, status="FAILED")
            assert job["error"]["code"] == "submit_outcome_unknown"


async def test_jobs_under_way_in_1_0_0_end(tmp_path: Path) -> None:
    kept = database_of(7, tmp_path)

    async with client_at(kept, LEFT_AT_7) as client:
        jobs = {job["request_id"]: job["phase"] for job in (await listed(client, "jobs"))}
        assert len(jobs) == 7
        await wait_for_job(client, QUEUED_7, status="COMPLETED")
        verdicts = [each["verdict"] for each in await history_of(client, UNAPPLIED_7, "callback")]
        assert verdicts == ["applied", "applied"]

    # The provider has forgotten the others.
    async with client_at(kept, LEFT_AT_7 + 2 * DAY) as client:
        for request_id in jobs.keys() - {QUEUED_7}:
            await wait_for_job(client, request_id, status="FAILED")


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
