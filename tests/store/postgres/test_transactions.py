"""Transactions on PostgreSQL: which are repeated, and what is known about a commit."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import quote

import psycopg
import pytest

from store.changes import CommitNotice
from store.errors import OutcomeUnknown, StoreLocked, StoreUnavailable
from store.postgres import receive_timeout
from store.postgres.address import parse
from store.postgres.pool import Pool
from store.postgres.writer import PostgresWriter
from store.session import Session
from tests.store.works import committed_keys, put
from tests.support.postgres_server import PostgresServer


@contextlib.asynccontextmanager
async def writing(url: str) -> AsyncIterator[PostgresWriter]:
    pool = Pool(parse(url))
    pool.open()
    writer = PostgresWriter(pool)
    yield writer
    await writer.close()
    await asyncio.to_thread(pool.close)


@pytest.fixture
async def writer(postgres_url: str) -> AsyncIterator[PostgresWriter]:
    async with writing(postgres_url) as writer:
        yield writer


def end_sessions(other: psycopg.Connection) -> None:
    other.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND application_name = 'receiver'"
    )


@pytest.mark.parametrize(
    ("session", "own"),
    [("off", "on"), ("local", "on"), ("remote_write", "on"), ("remote_apply", "remote_apply")],
)
async def test_its_settings_are_its_own_whatever_the_session_has(
    postgres_url: str, session: str, own: str
) -> None:
    names = ("transaction_isolation", "synchronous_commit", "lock_timeout", "statement_timeout")

    def look(db: Session, _: CommitNotice) -> list[str]:
        return [db.execute(f"SELECT current_setting('{name}')").fetchone()[0] for name in names]

    options = f"-cdefault_transaction_isolation=serializable -csynchronous_commit={session}"
    async with writing(f"{postgres_url}%20{quote(options)}") as writer:
        assert await writer.urgent(look) == ["read committed", own, "3s", "10s"]


async def test_a_row_locked_by_another_process_delays_nothing_else(
    writer: PostgresWriter, other: psycopg.Connection
) -> None:
    await writer.urgent(put("a"))
    short = "SET LOCAL lock_timeout = 50"
    change = "UPDATE meta SET value = 'y' WHERE key = 'a'"
    with other.transaction():
        other.execute("SELECT 1 FROM meta WHERE key = 'a' FOR UPDATE")
        locked = writer.urgent(lambda db, _: (db.execute(short), db.execute(change)))
        assert await writer.urgent(put("b")) == "b"
        with pytest.raises(StoreLocked):
            await locked


@pytest.mark.parametrize("how", ["lost", "deadlock"])
async def test_a_transaction_that_fails_before_its_commit_is_repeated(
    writer: PostgresWriter, other: psycopg.Connection, how: str
) -> None:
    notices: list[CommitNotice] = []
    writer.on_commit = notices.append
    tries: list[str] = []

    def work(db: Session, notice: CommitNotice) -> str:
        tries.append(put("a")(db, notice))
        if len(tries) == 1 and how == "lost":
            end_sessions(other)
        db.execute(f"DO $$ BEGIN IF {len(tries)} = 1 THEN RAISE deadlock_detected; END IF; END $$")
        return tries[-1]

    assert await writer.urgent(work) == "a"
    assert committed_keys(other) == ["a"]
    assert notices == [CommitNotice(jobs={"a"})]
    assert len(tries) == 2


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_commit_whose_answer_is_lost_may_have_happened(
    postgres_server: PostgresServer,
    writer: PostgresWriter,
    other: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    hangs: bool,
) -> None:
    monkeypatch.setattr(receive_timeout, "RECEIVE_TIMEOUT", 0.3)
    notices: list[CommitNotice] = []
    writer.on_commit = notices.append

    def work(db: Session, notice: CommitNotice) -> None:
        put("a")(db, notice)
        if hangs:
            stack.enter_context(postgres_server.hanging())
        else:
            end_sessions(other)

    with contextlib.ExitStack() as stack, pytest.raises(OutcomeUnknown):
        await writer.urgent(work)

    assert notices == []
    assert await writer.urgent(put("b")) == "b"


async def test_a_statement_that_takes_too_long_is_unavailable(writer: PostgresWriter) -> None:
    short = "SET LOCAL statement_timeout = 50"

    with pytest.raises(StoreUnavailable, match="took too long"):
        await writer.urgent(lambda db, _: (db.execute(short), db.execute("SELECT pg_sleep(9)")))
