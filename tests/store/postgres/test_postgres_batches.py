"""Batches on PostgreSQL: which member fails, and what is known about a commit."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any
from unittest.mock import Mock

import psycopg
import pytest

from store.changes import Effects
from store.errors import NotFound, OutcomeUnknown, StoreLocked, StoreUnavailable
from store.postgres import batches, receive_timeout
from store.postgres.address import parse
from store.postgres.batches import PostgresBatchRunner
from store.postgres.connection import connect
from store.postgres.receive_timeout import ConnectionWithTimeout
from store.postgres.session import PendingResult, PostgresSession
from store.session import Done, Failed, Session, Work
from tests.store.works import committed_keys, fail, put
from tests.store.world import World
from tests.support.postgres_server import PostgresServer


def run_sql(sql: str) -> Work[None]:
    def work(db: Session, _: Effects) -> None:
        db.execute(sql)

    return work


@pytest.fixture
def begun() -> list[int]:
    return []


@pytest.fixture
def runner(postgres_url: str, begun: list[int]) -> Iterator[PostgresBatchRunner]:
    runner = PostgresBatchRunner(lambda: connect(parse(postgres_url)), "w", begun.append)
    yield runner
    runner.close()


def test_the_member_that_fails_is_found_by_halving(
    runner: PostgresBatchRunner, begun: list[int]
) -> None:
    works = [*map(put, "abcd"), fail(NotFound("x"), put("half")), *map(put, "efg")]

    outcomes, *_ = runner.run(works)

    assert [index for index, outcome in enumerate(outcomes) if isinstance(outcome, Failed)] == [4]
    assert len(begun) == 3  # a to d, e, f and g


def test_an_error_that_surfaces_at_another_member_is_attributed(
    runner: PostgresBatchRunner, other: psycopg.Connection
) -> None:
    def look(db: Session, _: Effects) -> object:
        return db.execute("SELECT 1").fetchone()

    outcomes, *_ = runner.run([put("a"), run_sql("SELECT 1/0"), look])

    assert outcomes[0] == Done("a")
    assert isinstance(outcomes[1], Failed)
    assert isinstance(outcomes[1].error, psycopg.errors.DivisionByZero)
    assert outcomes[2] == Done((1,))
    assert committed_keys(other) == ["a"]


def test_a_statement_that_takes_too_long_fails_alone(
    runner: PostgresBatchRunner, other: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "STATEMENT_TIMEOUT", 100)

    outcomes, *_ = runner.run([put("a"), run_sql("SELECT pg_sleep(9)")])

    assert outcomes[0] == Done("a")
    assert isinstance(outcomes[1], Failed)
    assert isinstance(outcomes[1].error, StoreUnavailable)
    assert committed_keys(other) == ["a"]


def test_a_batch_is_read_committed_whatever_the_default(postgres_url: str) -> None:
    def look(db: Session, _: Effects) -> object:
        return db.execute("SELECT current_setting('transaction_isolation')").fetchone()

    address = parse(f"{postgres_url}%20-cdefault_transaction_isolation%3Dserializable")
    runner = PostgresBatchRunner(lambda: connect(address), "w", lambda _: None)

    outcomes, *_ = runner.run([look])

    runner.close()
    assert outcomes == [Done(("read committed",))]


def test_only_a_batch_that_changes_something_waits_for_the_disk(
    runner: PostgresBatchRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    execute = PostgresSession.execute

    def record(self: PostgresSession, sql: str, *parameters: Any) -> PendingResult:
        seen.append(sql)
        return execute(self, sql, *parameters)

    def remove_nothing(db: Session, _: Effects) -> object:
        return db.execute("DELETE FROM meta WHERE key = 'none' RETURNING key").fetchall()

    monkeypatch.setattr(PostgresSession, "execute", record)
    cases: list[tuple[list[Work[object]], bool]] = [
        ([remove_nothing, fail(NotFound("x"))], False),
        ([put("a"), remove_nothing], True),
        ([remove_nothing, run_sql("DELETE FROM meta WHERE key = 'a'")], True),
    ]
    for works, waits in cases:
        runner.run(works)
        assert ("SET LOCAL synchronous_commit = off" not in seen) == waits
        assert seen[-1] == "COMMIT"
        seen.clear()


def test_two_batches_that_deadlock_both_succeed(
    postgres_url: str, other: psycopg.Connection
) -> None:
    meeting = Barrier(2, timeout=10)
    other.execute("INSERT INTO meta (key, value) VALUES ('one', '0'), ('two', '0')")

    def touch(key: str) -> Work[None]:
        def work(db: Session, _: Effects) -> None:
            db.execute(
                "UPDATE meta SET value = (value::int + 1)::text WHERE key = %(key)s RETURNING 1",
                {"key": key},
            ).fetchone()

        return work

    met: set[int] = set()

    def meet(who: int) -> Work[None]:
        def work(_db: Session, _: Effects) -> None:
            if who not in met:
                met.add(who)
                meeting.wait()

        return work

    def run(who: int, first: str, second: str) -> Sequence[object]:
        reach = partial(connect, parse(postgres_url))
        runner = PostgresBatchRunner(reach, f"writer {who}", lambda _: None)
        with contextlib.closing(runner):
            return runner.run([touch(first), meet(who), touch(second)]).outcomes

    with ThreadPoolExecutor() as threads:
        ended = threads.map(run, (0, 1), ("one", "two"), ("two", "one"))

    assert [*ended] == [[Done(None)] * 3] * 2
    values = other.execute("SELECT value FROM meta WHERE key IN ('one', 'two')").fetchall()
    assert values == [("2",), ("2",)]


def test_a_lock_held_by_another_process_fails_one_member(
    runner: PostgresBatchRunner,
    other: psycopg.Connection,
    begun: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "LOCK_TIMEOUT", 50)
    monkeypatch.setattr(batches, "LOCK_TIMEOUT_ALONE", 50)
    runner.run([put("a")])
    with other.transaction():
        other.execute("SELECT 1 FROM meta WHERE key = 'a' FOR UPDATE")
        blocked = run_sql("UPDATE meta SET value = 'y' WHERE key = 'a'")
        outcomes, *_ = runner.run([blocked, *map(put, "bcd")])

    assert isinstance(outcomes[0], Failed)
    assert isinstance(outcomes[0].error, StoreLocked)
    assert outcomes[1:] == [Done("b"), Done("c"), Done("d")]
    assert len(begun) == 1 + 3  # one by one


def end_sessions(other: psycopg.Connection) -> None:
    other.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND application_name = 'receiver'"
    )


@pytest.fixture
def hang(monkeypatch: pytest.MonkeyPatch) -> Iterator[contextlib.ExitStack]:
    """Statements in this context manager hang until it is closed, or the test ends."""
    monkeypatch.setattr(receive_timeout, "RECEIVE_TIMEOUT", 0.3)
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("case", ["committed", "not sure", "hangs", "unreachable"])
def test_a_commit_whose_answer_was_lost_is_looked_up(
    postgres_server: PostgresServer,
    postgres_url: str,
    other: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    hang: contextlib.ExitStack,
    case: str,
) -> None:
    away = False

    def reach() -> psycopg.Connection:
        hang.close()
        if away:
            raise StoreUnavailable("nothing listens")
        return connect(parse(postgres_url), ConnectionWithTimeout)

    runner = PostgresBatchRunner(reach, "w", lambda _: None)
    runner.run([put("first")])
    fill = runner._execute

    def fill_and_lose(*arguments: Any) -> None:
        nonlocal away
        fill(*arguments)
        if case == "committed":
            arguments[1]._pipeline.sync()
        if case == "hangs":
            hang.enter_context(postgres_server.hanging())
            return
        end_sessions(other)
        away = case == "unreachable"

    monkeypatch.setattr(runner, "_execute", fill_and_lose)
    if case == "unreachable":
        monkeypatch.setattr(batches, "OUTCOME_TIMEOUT", 0.0)
    outcomes, changes, *_ = runner.run([put("a"), put("b")])
    runner.close()

    if case == "unreachable":
        errors = [outcome.error for outcome in outcomes if isinstance(outcome, Failed)]
        assert [type(error) for error in errors] == [OutcomeUnknown] * 2
        assert not changes.jobs
        return
    is_kept = committed_keys(other) == ["a", "b", "first"]
    assert is_kept or case != "committed"
    assert (outcomes == [Done("a"), Done("b")]) == is_kept
    assert changes.jobs == ({"a", "b"} if is_kept else set())


async def test_repeated_callbacks_do_not_make_the_others_run_again(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a few of them in each batch, a third of all callbacks were refused."""
    jobs = [await here.create() for _ in range(8)]
    await asyncio.gather(*map(here.receive, jobs[::3]))
    again = Mock(side_effect=PostgresBatchRunner._run_parts)
    monkeypatch.setattr(PostgresBatchRunner, "_run_parts", again)

    receipts = await asyncio.gather(*map(here.receive, jobs))

    assert receipts == ["accepted" if number % 3 else "duplicate" for number in range(8)]
    assert not again.called
