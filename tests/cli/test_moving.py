"""`receiver copy`, as an operator runs it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.open import open_store
from tests.postgres_server import PostgresServer, binaries
from tests.store.world import World

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    if binaries() is None:
        pytest.skip("no PostgreSQL: neither the wheel of the test extra nor one that is installed")
    with PostgresServer.running() as server:
        yield server


async def copy(source: str, target: str) -> tuple[int, str, str]:
    """Run it: the exit status, what it printed, and what it said of faults."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RECEIVER_DATABASE_URL": source}
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "receiver", "copy", target],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


async def test_a_database_is_copied_once(tmp_path: Path, server: PostgresServer) -> None:
    source = f"sqlite:///{tmp_path}/receiver.db"
    store = await open_store(source, serving=True)
    world = await World.begin(store)
    job = await world.create()
    (tmp_path / "receiver.db.keys").write_text("secret")

    status, _, fault = await copy(source, server.url())
    assert (status, "nother service runs" in fault) == (2, True)

    await store.close()
    status, told, fault = await copy(source, server.url())
    assert (status, fault) == (0, "")
    assert "RECEIVER_SECRET_KEYS" in told

    status, _, fault = await copy(source, server.url())
    assert status == 1
    assert "already" in fault

    moved = await open_store(server.url())
    assert await moved.jobs.find(job.id) == job
    await moved.close()


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("sqlite:///{}/none.db", "postgresql://u:hunter2@127.0.0.1:1/d", "no database at"),
        ("sqlite:///{}/none.db", "postgresql://u:hunter2@h/d?sslmod=1", "sslmod"),
        ("postgresql://u:hunter2@h/d", "postgresql://h/d", "has to name the SQLite database"),
    ],
)
async def test_what_cannot_be_copied_is_said_in_words(
    tmp_path: Path, source: str, target: str, words: str
) -> None:
    status, _, fault = await copy(source.format(tmp_path), target)

    assert status != 0
    assert words in fault
    assert "hunter2" not in fault
    assert len(fault.splitlines()) == 1
