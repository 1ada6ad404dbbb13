"""One batch on either backend: its grouped works, and a member that fails alone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from store.changes import Changes, Effects
from store.errors import NotFound
from store.postgres.address import parse
from store.postgres.batches import PostgresBatchRunner
from store.postgres.connection import connect
from store.session import Batchable, Done, Failed, Outcome, Session, Work
from store.sqlite.batches import BatchRunner
from store.sqlite.connection import connect_writer, prepare
from store.writer import Runner
from tests.store.works import committed_keys, fail, put


@pytest.fixture(params=["sqlite", "postgres"])
def both(request: pytest.FixtureRequest) -> Iterator[tuple[Runner, Any]]:
    """A runner, and a second connection to its database."""
    if request.param == "sqlite":
        path: Path = request.getfixturevalue("tmp_path") / "receiver.db"
        prepare(path)
        connection: Callable[[], Any] = partial(connect_writer, path)
        runner: Runner = BatchRunner(connection)
    else:
        connection = partial(connect, parse(request.getfixturevalue("postgres_url")))
        runner = PostgresBatchRunner(connection, "w", lambda _: None)
    with closing(runner), closing(connection()) as other:
        yield runner, other


def test_a_batch_is_one_transaction(both: tuple[Runner, Any]) -> None:
    runner, other = both

    def look(_db: Session, _changes: Effects) -> list[str]:
        return committed_keys(other)

    outcomes, changes, *_ = runner.run([put("a"), look, put("b")])

    assert outcomes == [Done("a"), Done([]), Done("b")]
    assert changes == Changes(jobs={"a", "b"})
    assert committed_keys(other) == ["a", "b"]


def test_a_failing_member_rolls_back_alone(both: tuple[Runner, Any]) -> None:
    runner, other = both
    error = NotFound("x")

    outcomes, changes, *_ = runner.run(
        [put("a"), fail(error, put("half")), put("b"), put("a"), put("c")]
    )

    assert outcomes[:3] == [Done("a"), Failed(error), Done("b")]
    duplicate = outcomes[3]
    assert isinstance(duplicate, Failed)
    assert "unique" in str(duplicate.error).lower()
    assert outcomes[4] == Done("c")
    assert changes.jobs == {"a", "b", "c"}
    assert runner.run([fail(error, put("half"))]).outcomes == [Failed(error)]
    assert committed_keys(other) == ["a", "b", "c"]


def test_batchable_works_of_a_kind_are_one_call(both: tuple[Runner, Any]) -> None:
    runner, other = both
    calls: list[list[str]] = []

    def put_all(db: Session, changes: Effects, keys: Sequence[str]) -> Sequence[Outcome[str]]:
        calls.append(list(keys))
        if "gone" in keys:
            return [Failed(NotFound("gone")), Done("nothing")]
        return [Done(put(key)(db, changes)) for key in keys]

    def batchable(key: str) -> Work[str]:
        return Batchable(put_all, key)

    outcomes, changes, *_ = runner.run([batchable("a"), put("b"), batchable("c")])
    assert outcomes == [Done("a"), Done("b"), Done("c")]
    assert changes.jobs == {"a", "b", "c"}
    assert calls == [["a", "c"]]

    # A work that fails by itself reports it; if the call raises, its halves are run.
    gone, other_one = runner.run([batchable("gone"), batchable("d")]).outcomes
    assert isinstance(gone, Failed)
    assert other_one == Done("nothing")
    outcomes, changes, *_ = runner.run([batchable("e"), batchable("a"), batchable("f")])
    assert [isinstance(outcome, Failed) for outcome in outcomes] == [False, True, False]
    assert calls[2] == ["e", "a", "f"]
    assert ["a"] in calls[3:]
    assert changes.jobs == {"e", "f"}
    assert committed_keys(other) == ["a", "b", "c", "e", "f"]
