"""A separate thread moves the write-ahead log into the database."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from store.sqlite import checkpoints
from store.sqlite.checkpoints import Checkpointer
from store.sqlite.connection import connect_writer, uri
from tests.support.service import TIMEOUT


@pytest.fixture
def writer(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that never checkpoints."""
    with closing(connect_writer(path)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        yield connection


def put(writer: sqlite3.Connection, key: str) -> None:
    writer.execute("INSERT INTO meta (key, value) VALUES (?, 'x')", (key,))


def moved(path: Path) -> set[str]:
    """What the database contains without its log."""
    with closing(sqlite3.connect(uri(path) + "&immutable=1", uri=True)) as connection:
        return {key for (key,) in connection.execute("SELECT key FROM meta")}


def wait_for(path: Path, key: str, meanwhile: Callable[[], None] = lambda: None) -> None:
    until = time.monotonic() + TIMEOUT
    while key not in moved(path):
        meanwhile()
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def without_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "CHECKPOINT_PAUSE", 0.0)


def test_commits_are_moved_into_the_database(path: Path, writer: sqlite3.Connection) -> None:
    with closing(Checkpointer(partial(connect_writer, path))) as checkpointer:
        for key in ("a", "b"):
            put(writer, key)
            assert key not in moved(path)
            checkpointer.notify()
            wait_for(path, key)


def test_a_failing_disk_is_tried_again(path: Path, writer: sqlite3.Connection) -> None:
    closed = sqlite3.connect(":memory:")
    closed.close()  # each statement on it fails
    failures: list[sqlite3.OperationalError | None] = [None, sqlite3.OperationalError("no file")]

    def connect() -> sqlite3.Connection:
        if not failures:
            return connect_writer(path)
        if failure := failures.pop():
            raise failure
        return closed

    with closing(Checkpointer(connect)) as checkpointer:
        put(writer, "a")
        wait_for(path, "a", meanwhile=checkpointer.notify)
    assert not failures


def test_it_ends_without_a_commit() -> None:
    def connect() -> sqlite3.Connection:
        raise AssertionError("nothing was committed")

    Checkpointer(connect).close()


def test_closing_during_a_checkpoint_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    checkpointer = Checkpointer(lambda: sqlite3.connect(":memory:"))
    clear = checkpointer._has_grown.clear

    def clear_after_the_end() -> None:
        checkpointer._ending.set()  # as `close` does on another thread
        checkpointer._has_grown.set()
        clear()

    monkeypatch.setattr(checkpointer._has_grown, "clear", clear_after_the_end)
    checkpointer.notify()
    checkpointer._thread.join(TIMEOUT)
    assert not checkpointer._thread.is_alive()
