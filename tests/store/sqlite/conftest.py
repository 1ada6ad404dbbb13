"""A database file, and the store's parts, each alone."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from store.database import Store
from store.sqlite import connection
from store.sqlite.batches import BatchRunner
from store.sqlite.connection import connect_writer, prepare
from tests.store.world import opened


def address(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with the current schema, which nobody has open."""
    prepare(tmp_path / "receiver.db")
    return tmp_path / "receiver.db"


@pytest.fixture
def short_busy_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections wait only briefly for locks."""
    monkeypatch.setattr(connection, "BUSY_TIMEOUT", 50)


@pytest.fixture
def runner(path: Path, short_busy_timeout: None) -> Iterator[BatchRunner]:
    runner = BatchRunner(partial(connect_writer, path))
    yield runner
    runner.close()


@pytest.fixture
def other(path: Path, short_busy_timeout: None) -> Iterator[sqlite3.Connection]:
    """A connection that to SQLite is another process's."""
    with closing(connect_writer(path)) as database:
        yield database


@pytest.fixture
async def store(path: Path, short_busy_timeout: None) -> AsyncIterator[Store]:
    """The store, which waits only briefly for locks."""
    async with opened(address(path)) as store:
        yield store
