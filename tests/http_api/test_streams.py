"""Event streams, read byte by byte."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.http_api.accepted_job import AcceptedJob, create_accepted_job
from tests.http_api.conftest import Start
from tests.http_api.event_stream import EventStream, Frame, event_stream
from tests.http_api.raw_http import RawConnection, request_bytes
from tests.http_api.scripted_provider import COMPLETED, ScriptedProvider
from tests.support.service import (
    RunningService,
    history_of,
    job_without_input,
    submit,
)


@pytest.fixture
async def service(provider: ScriptedProvider, start: Start) -> RunningService:
    """A service that trusts callbacks, so that a test moves jobs by sending them."""
    return await start(**provider.settings(), confirm_callbacks=False)


def running(progress: float) -> dict[str, Any]:
    return {"status": "IN_PROGRESS", "progress": progress}


def seqs(frames: list[Frame]) -> list[int]:
    return [frame.data["seq"] for frame in frames if frame.event == "update"]


async def cursor_now(client: httpx.AsyncClient, path: str) -> str:
    async with event_stream(client, path) as stream:
        (snapshot,) = await stream.events(1)
    assert snapshot.id is not None
    return snapshot.id


# --- one job --------------------------------------------------------------------------------------


async def test_a_jobs_stream_from_snapshot_to_done(
    client: httpx.AsyncClient, job: AcceptedJob
) -> None:
    path = f"{job.path}/events"
    async with event_stream(client, path) as stream:
        headers = stream.response.headers
        assert headers["Content-Type"].startswith("text/event-stream")
        assert headers["Cache-Control"] == "no-cache, no-transform"
        assert headers["X-Accel-Buffering"] == "no"
        assert headers["Vary"] == "Origin"
        assert "Content-Encoding" not in headers
        first = await stream.next()
        assert first is not None
        retry = first.field(b"retry")
        assert first.raw == f"retry: {retry}".encode()
        assert 2_000 <= int(retry or 0) <= 5_000
        snapshot = await stream.next()
        assert snapshot is not None
        assert snapshot.event == "snapshot"
        assert snapshot.data == await job_without_input(client, job.request_id)
        assert snapshot.id

        for progress in (10, 20):
            await job.send(running(progress))
            (update,) = await stream.events(1)
            assert (update.event, update.data["progress"]) == ("update", progress)
            assert update.data == await job_without_input(client, job.request_id)
            assert update.id
        await job.send(COMPLETED)
        final, done = await stream.events(2)
        assert (final.event, final.data["status"]) == ("update", "COMPLETED")
        assert done.event == "done"
        assert done.data == {"request_id": job.request_id, "status": "COMPLETED"}
        assert done.id is None
        assert await stream.next() is None

    # The client has seen everything, so nothing more will come.
    seen = await client.get(path, headers={"Last-Event-ID": final.id or ""})
    assert (seen.status_code, seen.content) == (204, b"")
    # A client without a cursor gets the outcome.
    async with event_stream(client, path) as stream:
        assert [frame.event for frame in await stream.rest()] == [None, "snapshot", "done"]


async def test_what_is_replayed_is_what_was_live_byte_for_byte(
    client: httpx.AsyncClient, provider: ScriptedProvider
) -> None:
    async with event_stream(client, "/v1/events") as stream:
        (snapshot,) = await stream.events(1)
        job = await create_accepted_job(client, provider)
        await job.send(running(50) | {"message": "é\u2028\u0085\nid: 9\n\ndata: x"})
        await job.wait_for(progress=50)
        await job.send(COMPLETED)
        live = await stream.events(5)
    assert seqs(live) == [1, 2, 3, 4, 5]
    async with event_stream(client, "/v1/events", snapshot.id) as stream:
        replayed = await stream.events(5)
    async with event_stream(client, f"{job.path}/events", snapshot.id) as stream:
        of_the_job = (await stream.rest())[1:-1]
    assert [f.raw for f in live] == [f.raw for f in replayed] == [f.raw for f in of_the_job]
    assert all(frame.raw.isascii() and frame.raw.count(b"\n") == 2 for frame in live)
    events = [line["job"] for line in await history_of(client, job.request_id, "event")]
    assert [frame.data for frame in live] == events


async def test_a_resume_from_any_place_gives_the_rest_once(
    client: httpx.AsyncClient, provider: ScriptedProvider
) -> None:
    start_at = await cursor_now(client, "/v1/events")
    job = await create_accepted_job(client, provider)
    other = await create_accepted_job(client, provider)
    for progress in range(1, 6):
        await job.send(running(progress))
        await job.wait_for(progress=progress)  # otherwise two may become one event
    await job.send(COMPLETED)
    await job.wait_for(done=True)
    async with event_stream(client, "/v1/events", start_at) as stream:
        everything = await stream.events(12)  # nine events of one job, three of the other
    path = f"{job.path}/events"
    own = [frame for frame in everything if frame.data["request_id"] == job.request_id]
    for number, frame in enumerate(everything):
        assert frame.id is not None
        left = [f.id for f in own if everything.index(f) > number]
        for place, header in ((frame.id, None), (start_at, frame.id)):
            # The header outranks the query: an EventSource reconnects to the same URL.
            url = f"{path}?last_event_id={place}"
            if not left:
                headers = {} if header is None else {"Last-Event-ID": header}
                assert (await client.get(url, headers=headers)).status_code == 204
                continue
            async with event_stream(client, url, header) as stream:
                frames = await stream.rest()
            assert [f.id for f in frames if f.event == "update"] == left
            assert frames[-1].event == "done"
    assert {frame.data["request_id"] for frame in everything} == {job.request_id, other.request_id}


async def test_a_users_snapshot_has_the_newest_jobs_that_fit_in_256_kib(
    client: httpx.AsyncClient,
) -> None:
    wide = {"metadata": {str(n): "\u00e9" * 500 for n in range(16)}}  # 48 KB as ASCII JSON
    made = [(await submit(client, **wide))["request_id"] for _ in range(9)]

    async with event_stream(client, "/v1/events") as stream:
        (snapshot,) = await stream.events(1)

    assert [job["request_id"] for job in snapshot.data["jobs"]] == made[::-1][:5]
    assert snapshot.data["truncated"] is True
    assert len(snapshot.raw.rpartition(b"data: ")[2]) <= 256 * 1024


# --- cursors that are no good ---------------------------------------------------------------------


def hostile(cursor: str) -> list[str]:
    seq, _, nonce = cursor.partition(".")
    places = (int(seq) + 1, int(seq) + 1_000_000, 2**63 - 1, 2**63, "9" * 50, -1, 0, "")
    return [
        *(f"{place}.{nonce}" for place in places),
        *(f"{seq}.{'0' * len(nonce)}", seq, f"{seq}.", f"{cursor}x"),
        *("x", "%00", "9" * 5_000, "é", "'; DROP TABLE events; --"),
    ]


async def test_a_cursor_that_is_unknown_gets_a_reset_and_a_snapshot(
    service: RunningService, provider: ScriptedProvider
) -> None:
    client, other = await service.user(), await service.user("bob")
    job = await create_accepted_job(client, provider)
    await create_accepted_job(other, provider)
    good = await cursor_now(client, "/v1/events")
    foreign = await cursor_now(other, "/v1/events")
    for path in ("/v1/events", f"{job.path}/events"):
        for cursor in (foreign, *hostile(good)):
            headers = {b"Last-Event-ID": cursor.encode("latin-1")}
            async with client.stream("GET", path, headers=headers) as response:
                assert response.status_code == 200, cursor
                reset, snapshot = await EventStream(response).events(2)
            assert reset.raw == b"event: reset\ndata: {}", cursor
            assert (snapshot.event, snapshot.id) == ("snapshot", good)


async def test_what_retention_has_removed_resets_a_users_stream_and_not_a_jobs(
    service: RunningService, client: httpx.AsyncClient, provider: ScriptedProvider
) -> None:
    old = await cursor_now(client, "/v1/events")
    gone = await create_accepted_job(client, provider)
    await gone.cancel()
    kept = await create_accepted_job(client, provider)
    assert (await service.store.retention.remove(2**60, 10)).jobs == 1
    async with event_stream(client, "/v1/events", old) as stream:
        assert [f.event for f in await stream.events(2)] == ["reset", "snapshot"]
    async with event_stream(client, f"{kept.path}/events", old) as stream:
        assert seqs(await stream.events(3)) == [1, 2, 3]


# --- pace -----------------------------------------------------------------------------------------


@asynccontextmanager
async def small_buffer(url: str) -> AsyncIterator[RawConnection]:
    """A connection on which little can be under way."""
    parts = urlsplit(url)
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    own.connect((parts.hostname, parts.port))
    reader, writer = await asyncio.open_connection(sock=own, limit=2**23)
    yield RawConnection(reader, writer)
    writer.close()
    await writer.wait_closed()


async def test_a_reader_that_stops_delays_no_other_and_misses_nothing(
    service: RunningService, client: httpx.AsyncClient, job: AcceptedJob
) -> None:
    key, count = client.headers["API-KEY"], 150
    async with (
        small_buffer(service.url) as slow,
        event_stream(client, "/v1/events") as stream,
    ):
        await slow.send(request_bytes("GET", "/v1/events", API_KEY=key))
        await slow.until(b"event: snapshot")
        await stream.events(1)
        with slow.deaf():
            for number in range(1, count + 1):  # more than 1 MB
                await job.send(running(number / 2) | {"message": "x" * 8_000})
                (update,) = await stream.events(1)
                assert update.data["progress"] == number / 2
        seen = await slow.until(b'"progress":%g' % (count / 2))
        places = [int(each) for each in re.findall(rb"event: update\nid: ([0-9]+)", seen)]
        assert places == [*range(places[-1] - count + 1, places[-1] + 1)]


# --- a stop ---------------------------------------------------------------------------------------


async def test_streams_end_cleanly_at_a_stop(
    service: RunningService, client: httpx.AsyncClient, job: AcceptedJob
) -> None:
    async with event_stream(client, f"{job.path}/events") as open_before:
        (snapshot,) = await open_before.events(1)
        service.inner.begin_stop()
        assert await open_before.rest() == []  # and no `done`, so the client reconnects
        # Requested on an open connection: an EventSource would give up at a 5xx.
        for path, cursor in ((f"{job.path}/events", None), ("/v1/events", snapshot.id)):
            async with event_stream(client, path, cursor) as late:
                (retry,) = await late.rest()
                assert retry.raw.startswith(b"retry: ")
