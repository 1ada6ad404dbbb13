"""A database that loses its newest history under a running service, as at a failover to a standby
that lags: streams miss nothing of the new history, and their clients learn that the old one is
lost."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from store.records.events import Cursor
from tests.http_api.event_stream import EventStream, Frame, event_stream
from tests.support.postgres_server import PostgresServer, server_or_skip
from tests.support.service import running_service, submit, wait_for_length


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with server_or_skip() as server:
        yield server


async def finish_job(client: httpx.AsyncClient, stream: EventStream) -> Cursor:
    """Create a job that ends, and read all of its events; returns the position of the last one."""
    job = await submit(client)
    await client.post(job["links"]["cancel"])
    *_, last = await stream.until(lambda frame: frame.event == "update" and frame.data["done"])
    return position(last)


def position(frame: Frame) -> Cursor:
    seq, nonce = str(frame.id).split(".")
    return Cursor(int(seq), nonce)


async def read_past(client: httpx.AsyncClient, lost: Cursor, got: list[Frame]) -> None:
    """Read on from a lost position until the log is past it; reconnect when the stream ends."""
    cursor = lost
    while cursor.seq <= lost.seq:
        async with event_stream(client, "/v1/events", str(cursor)) as stream:
            while cursor.seq <= lost.seq and (frame := await stream.next()):
                if frame.event:
                    got.append(frame)
                if frame.id:
                    cursor = position(frame)


async def test_streams_miss_nothing_when_the_database_loses_events(
    tmp_path: Path, server: PostgresServer
) -> None:
    settings: dict[str, Any] = {"database_url": server.url(), "secret_keys": "k" * 32}
    async with running_service(tmp_path, sandbox_render=60, **settings) as service:
        client = await service.user()
        async with event_stream(client, "/v1/events") as open_before:
            kept = await finish_job(client, open_before)
            lost = await finish_job(client, open_before)
            server.run(
                f"WITH lost AS (DELETE FROM events WHERE seq > {kept.seq}) "
                f"UPDATE users SET event_seq = {kept.seq}, event_nonce = '{kept.nonce}'"
            )
            early: list[Frame] = []
            late: list[Frame] = []
            async with asyncio.TaskGroup() as clients:
                clients.create_task(read_past(client, lost, early))
                await wait_for_length(early, 2, "a reset and a snapshot")
                for _ in range(3):
                    await client.post((await submit(client))["links"]["cancel"])
                assert await open_before.rest() == []
                clients.create_task(read_past(client, lost, late))
        log = await service.store.events.after_for_user(1, kept.seq, 99)

    history = [kept, *(event.cursor for event in log)]
    for reset, *frames in (early, late):
        assert [reset.event, frames[0].event] == ["reset", "snapshot"]
        places = [position(frame) for frame in frames]
        assert places == history[places[0].seq - kept.seq :][: len(places)]
