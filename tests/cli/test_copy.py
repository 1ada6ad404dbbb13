"""`copy`."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.open import open_store
from tests.cli.conftest import Workspace
from tests.store.world import World
from tests.support.forked import CommandResult
from tests.support.postgres_server import PostgresServer, server_or_skip


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with server_or_skip() as server:
        yield server


async def test_a_database_is_copied_once(
    workspace: Workspace, tmp_path: Path, server: PostgresServer
) -> None:
    source = f"sqlite:///{tmp_path}/receiver.db"
    workspace = workspace.with_settings(DATABASE_URL=source)

    async def copied() -> CommandResult:
        return await asyncio.to_thread(workspace.run, "copy", server.url())

    store = await open_store(source, serving=True)
    world = await World.begin(store)
    job = await world.create()
    (tmp_path / "receiver.db.keys").write_text("secret" * 8)

    busy = await copied()
    assert (busy.status, "nother service runs" in busy.err) == (2, True)

    await store.close()
    done = await copied()
    assert (done.status, done.err) == (0, "")
    assert "RECEIVER_SECRET_KEYS" in done.out

    again = await copied()
    assert again.status == 1
    assert "already contains data. Give the URL of an empty database." in again.err

    served = await asyncio.to_thread(workspace.run, "serve", "--port", "0")
    assert served.status == 1
    assert "has moved to" in served.err
    assert "Set RECEIVER_DATABASE_URL to that database." in served.err

    moved = await open_store(server.url())
    assert await moved.jobs.find(job.id) == job
    await moved.close()


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("sqlite:///{}/none.db", "postgresql://u:hunter2@127.0.0.1:1/d", "no database at"),
        ("sqlite:///{}/there.db", "postgresql://u:hunter2@h/d?sslmod=1", "sslmod"),
        ("sqlite:///{}/there.db", "postgres://u:hunter2@h/d", "must begin with postgresql://"),
        ("postgresql://u:hunter2@h/d", "postgresql://h/d", "must be the SQLite database"),
    ],
)
def test_a_copy_that_is_impossible_says_why(
    workspace: Workspace, tmp_path: Path, source: str, target: str, words: str
) -> None:
    (tmp_path / "there.db").write_text("not empty")
    settings = {"DATABASE_URL": source.format(tmp_path), "COPY_TO": target}
    done = workspace.with_settings(**settings).run("copy")

    assert done.status != 0
    assert words in done.err
    assert "hunter2" not in done.err
    assert len(done.err.splitlines()) == 1
