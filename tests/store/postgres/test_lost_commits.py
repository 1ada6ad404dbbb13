"""What is known about a commit whose answer was lost, whatever has become of the server since."""

from collections.abc import Callable, Iterator
from functools import partial

import psycopg
import pytest

from store.errors import NotFound, OutcomeUnknown, StoreLocked
from store.postgres import batches, lost_commits
from store.postgres.address import parse
from store.postgres.batches import PostgresBatchRunner
from store.postgres.connection import WRITERS_KEPT, connect, prepare
from store.postgres.lost_commits import was_committed
from store.session import Done, Failed
from tests.store.works import committed_keys, put
from tests.support.postgres_server import PostgresServer

NEXT_NUMBER = "SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint)"
KEYS = "SELECT key FROM meta WHERE key NOT IN ('application', 'schema') ORDER BY key"


class Runner(PostgresBatchRunner):
    """A runner for one test."""

    def __init__(self, url: str) -> None:
        super().__init__(partial(connect, parse(url)), "me", self.hook)
        self.number = 0
        """Of the latest transaction."""
        self.then: Callable[[], None] = lambda: None
        """What happens before a commit."""

    def hook(self, number: int) -> None:
        self.number = number
        self.then()


@pytest.fixture
def runner(postgres_url: str) -> Iterator[Runner]:
    runner = Runner(postgres_url)
    yield runner
    runner.close()


def refuse() -> None:
    raise NotFound("x")


@pytest.mark.parametrize("earlier", [[], ["b"]], ids=["first batch", "later batch"])
def test_a_transaction_that_got_the_number_of_a_lost_one_is_not_taken_for_it(
    earlier: list[str],
) -> None:
    # The server writes its log at commits only: a crash loses an open transaction without a trace.
    with PostgresServer.running(wal_writer_delay="10s") as server:
        prepare(parse(server.url()))
        runner = Runner(server.url())
        for key in earlier:
            assert runner.run([put(key)]).outcomes == [Done(key)]
        numbers = [0]

        def crash() -> None:
            server.stop("immediate")
            server.start()
            while numbers[-1] < runner.number:
                numbers.append(server.run(NEXT_NUMBER)[0][0])

        runner.then = crash
        ((outcome,), changes, *_) = runner.run([put("a")])
        runner.close()

        assert numbers[-1] == runner.number
        with connect(parse(server.url())) as other:
            assert committed_keys(other) == earlier
    assert isinstance(outcome, Failed)
    assert not isinstance(outcome.error, OutcomeUnknown)
    assert not changes.jobs


def test_a_transaction_is_looked_up_by_its_number_and_its_writer(
    runner: Runner, other: psycopg.Connection
) -> None:
    seen: list[bool | None] = []
    runner.then = lambda: seen.append(was_committed(other, "me", runner.number))

    runner.run([put("a")])
    seen.append(was_committed(other, "me", runner.number))
    assert seen == [None, True]

    assert was_committed(other, "somebody else", runner.number) is False
    # Rolled back, and never given out.
    runner.then = refuse
    runner.run([put("b")])
    assert was_committed(other, "me", runner.number) is False
    assert was_committed(other, "me", runner.number + 1_000_000_000) is False


def test_a_writer_without_a_row_may_have_lost_it_after_a_long_time(
    runner: Runner, other: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.run([put("a")])
    other.execute("DELETE FROM meta WHERE key = 'writer me'")
    assert was_committed(other, "me", runner.number) is False

    monkeypatch.setattr(lost_commits, "WRITERS_KEPT", 0)
    assert was_committed(other, "me", runner.number) is None


def test_a_standby_does_not_know_yet_what_was_committed() -> None:
    with PostgresServer.running(wal_level="replica") as server:
        prepare(parse(server.url()))
        runner = Runner(server.url())
        runner.run([put("a")])
        runner.close()
        server.stop()
        (server.folder / "data" / "standby.signal").touch()
        server.start()
        with connect(parse(f"{server.url()}?target_session_attrs=any")) as standby:
            assert committed_keys(standby) == ["a"]
            assert was_committed(standby, "me", runner.number) is None
            assert was_committed(standby, "me", runner.number + 1_000) is None


def test_the_rows_of_writers_that_have_ended_are_removed_at_a_start(
    postgres_url: str, other: psycopg.Connection
) -> None:
    ((now,),) = other.execute(NEXT_NUMBER).fetchall()
    rows = {"old": now - WRITERS_KEPT - 1, "writing": now - WRITERS_KEPT - 1, "new": now - 9_999}
    for name, number in rows.items():
        row = (f"writer {name}", str(number))
        other.execute("INSERT INTO meta (key, value) VALUES (%s, %s)", row)
    other.execute("INSERT INTO meta (key, value) VALUES ('copy', '1')")

    with other.transaction():
        other.execute("SELECT 1 FROM meta WHERE key = 'writer writing' FOR UPDATE")
        prepare(parse(postgres_url))

    assert other.execute(KEYS).fetchall() == [("copy",), ("writer new",), ("writer writing",)]


def test_a_batch_fails_as_a_whole_while_its_writers_last_transaction_goes_on(
    runner: Runner, other: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "LOCK_TIMEOUT", 50)
    monkeypatch.setattr(runner, "_run_parts", pytest.fail)
    runner.run([put("a")])
    with other.transaction():
        other.execute("SELECT 1 FROM meta WHERE key = 'writer me' FOR UPDATE")
        outcomes, changes, *_ = runner.run([put("b"), put("c")])

    errors = [outcome.error for outcome in outcomes if isinstance(outcome, Failed)]
    assert [type(error) for error in errors] == [StoreLocked] * 2
    assert not changes.jobs
    assert runner.run([put("d")]).outcomes == [Done("d")]
    assert committed_keys(other) == ["a", "d"]
