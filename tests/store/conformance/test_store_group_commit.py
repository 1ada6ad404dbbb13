"""One batch on either backend: what is grouped, and what fails alone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from store.contract import Changes
from store.errors import NotFound
from store.postgres.address import parse
from store.postgres.batches import PostgresBatchRunner
from store.postgres.connection import connect
from store.session import Batchable, Done, Effects, Failed, Outcome, Session, Work
from store.sqlite.batches import BatchRunner
from store.sqlite.connection import connect_writer, prepare
from store.writer import Runner

Kept: TypeAlias = Callable[[], list[str]]
"""The keys that another connection sees."""


@pytest.fixture(params=["sqlite", "postgres"])
def both(request: pytest.FixtureRequest) -> Iterator[tuple[Runner[Any], Kept]]:
    if request.param == "sqlite":
        path: Path = request.getfixturevalue("tmp_path") / "receiver.db"
        prepare(path)
        connection: Callable[[], Any] = partial(connect_writer, path)
        runner: Runner[Any] = BatchRunner(connection)
    else:
        connection = partial(connect, parse(request.getfixturevalue("postgres_url")))
        runner = PostgresBatchRunner(connection, lambda _: None)
    with closing(runner), closing(connection()) as other:
        rows = "SELECT key FROM meta WHERE value = 'x' ORDER BY key"
        yield runner, lambda: [key for (key,) in other.execute(rows)]


@pytest.fixture
def runner(both: tuple[Runner[Any], Kept]) -> Runner[Any]:
    return both[0]


@pytest.fixture
def kept(both: tuple[Runner[Any], Kept]) -> Kept:
    return both[1]


def put(key: str) -> Work[Session, str]:
    def work(db: Session, changes: Effects) -> str:
        db.execute(f"INSERT INTO meta (key, value) VALUES ('{key}', 'x')")
        changes.jobs.add(key)
        return key

    return work


def fail(error: Exception) -> Work[Session, None]:
    def work(db: Session, changes: Effects) -> None:
        put("half")(db, changes)
        raise error

    return work


def test_a_batch_is_one_transaction(runner: Runner[Any], kept: Kept) -> None:
    outcomes, changes, _ = runner.run([put("a"), put("b")])

    assert outcomes == [Done("a"), Done("b")]
    assert changes == Changes(jobs={"a", "b"})
    assert kept() == ["a", "b"]


def test_a_failing_member_rolls_back_alone(runner: Runner[Any], kept: Kept) -> None:
    error = NotFound("x")

    outcomes, changes, _ = runner.run([put("a"), fail(error), put("b"), put("a"), put("c")])

    assert outcomes[:3] == [Done("a"), Failed(error), Done("b")]
    duplicate = outcomes[3]
    assert isinstance(duplicate, Failed)
    assert "unique" in str(duplicate.error).lower()
    assert outcomes[4] == Done("c")
    assert changes.jobs == {"a", "b", "c"}
    assert kept() == ["a", "b", "c"]


def test_works_that_are_alike_are_one_call(runner: Runner[Any], kept: Kept) -> None:
    calls: list[list[str]] = []

    def put_all(db: Session, changes: Effects, keys: Sequence[str]) -> Sequence[Outcome[str]]:
        calls.append(list(keys))
        if "gone" in keys:
            return [Failed(NotFound("gone")), Done("nothing")]
        return [Done(put(key)(db, changes)) for key in keys]

    def batchable(key: str) -> Work[Session, str]:
        return Batchable(put_all, key)

    outcomes, changes, _ = runner.run([batchable("a"), put("b"), batchable("c")])
    assert outcomes == [Done("a"), Done("b"), Done("c")]
    assert changes.jobs == {"a", "b", "c"}
    assert calls == [["a", "c"]]

    # One that fails by itself says so; where the call raises, its halves are run.
    gone, kind = runner.run([batchable("gone"), batchable("d")]).outcomes
    assert isinstance(gone, Failed)
    assert kind == Done("nothing")
    outcomes, changes, _ = runner.run([batchable("e"), batchable("a"), batchable("f")])
    assert [isinstance(outcome, Failed) for outcome in outcomes] == [False, True, False]
    assert calls[2] == ["e", "a", "f"]
    assert ["a"] in calls[3:]
    assert changes.jobs == {"e", "f"}
    assert kept() == ["a", "b", "c", "e", "f"]
