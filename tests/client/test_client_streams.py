"""Watching: every event once and in order, across broken connections and restarts."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from receiver.client import (
    ApiError,
    AsyncClient,
    ClientError,
    StreamEvent,
    Unreachable,
)
from tests.client.conftest import OURS
from tests.providers.faulty_server import (
    Behaviour,
    Connection,
    FaultyServer,
    answer,
    close_at_once,
    faulty_server,
    send_raw,
)
from tests.support.service import JOB, TIMEOUT, eventually, running_service

HEAD = b"HTTP/1.1 200 OK\r\nX-Request-ID: r1\r\nConnection: close\r\n"
STREAM = HEAD + b"Content-Type: text/event-stream\r\n\r\n"
DONE = b'event: done\ndata: {"request_id":"job_x","status":"COMPLETED"}\n\n'


class Pauses:
    """Replaces sleeping: records the seconds, and lets other tasks run."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.reasons: list[ClientError | None] = []

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0.01)

    def note(self, reason: ClientError | None, _seconds: float) -> None:
        self.reasons.append(reason)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@asynccontextmanager
async def scripted(behaviours: Iterable[Behaviour]) -> AsyncIterator[FaultyServer]:
    """A server that handles each connection with the next behaviour."""
    left = iter(behaviours)

    async def next_one(connection: Connection) -> None:
        await next(left)(connection)

    async with faulty_server(next_one) as server:
        yield server


async def watched(client: AsyncClient, job_id: str, pauses: Pauses) -> list[StreamEvent]:
    async with asyncio.timeout(TIMEOUT):
        return [event async for event in client.watch(job_id, on_pause=pauses.note)]


async def followed(behaviours: Iterable[Behaviour], pauses: Pauses) -> list[StreamEvent]:
    """Watch a job through these behaviours, one for each connection."""
    async with (
        scripted(behaviours) as server,
        AsyncClient(server.url, "key", sleep=pauses.sleep) as client,
    ):
        return await watched(client, "job_x", pauses)


def seqs(events: Iterable[StreamEvent]) -> list[int]:
    return [job["seq"] for event in events for job in event.jobs]


# --- with a real service --------------------------------------------------------------------------


async def test_a_job_is_watched_to_its_end_and_resumed_from_any_cursor(
    tmp_path: Path, pauses: Pauses
) -> None:
    async with (
        running_service(tmp_path, sandbox_render=4) as service,
        AsyncClient(service.url, await service.key()) as client,
    ):
        job_id = (await client.submit(JOB))["request_id"]
        events = await watched(client, job_id, pauses)
        assert events[0].type == "snapshot"
        assert {event.type for event in events[1:]} == {"update"}
        last = events[-1].jobs[-1]
        assert last["status"] == "COMPLETED"
        assert seqs(events) == list(range(events[0].jobs[0]["seq"], last["seq"] + 1))

        for position, event in enumerate(events):
            again = [later async for later in client.watch(job_id, cursor=event.cursor)]
            assert again == events[position + 1 :]
    assert pauses.seconds == []


@pytest.mark.parametrize("cursor", ["7.feedbeef", "7.feedbeef\n", "é"])
async def test_an_invalid_cursor_is_reset(client: AsyncClient, cursor: str) -> None:
    job = await client.submit(JOB, wait=10)
    events = [event async for event in client.watch(job["request_id"], cursor=cursor)]
    assert [event.type for event in events] == ["reset", "snapshot"]
    assert events[1].jobs[0]["status"] == "COMPLETED"


async def test_a_restart_loses_nothing_and_repeats_nothing(tmp_path: Path, pauses: Pauses) -> None:
    async with AsyncExitStack() as first_run:
        service = await first_run.enter_async_context(
            running_service(tmp_path, sandbox_render=1_000)
        )
        key, port = await service.key(), int(service.url.rpartition(":")[2])
        async with AsyncClient(service.url, key, sleep=pauses.sleep) as client:
            job_id = (await client.submit(JOB))["request_id"]
            watching = asyncio.create_task(watched(client, job_id, pauses))
            await eventually(lambda: client.get(job_id), lambda job: job["phase"] == "accepted")
            await first_run.aclose()
            async with (
                running_service(tmp_path, port=port, sandbox_render=1_000) as second,
                AsyncClient(second.url, key) as other,
            ):
                await other.cancel(job_id)
                events = await watching
    assert events[-1].jobs[-1]["status"] == "CANCELLED"
    assert [event.type for event in events].count("snapshot") == 1
    assert seqs(events) == list(range(seqs(events)[0], events[-1].jobs[-1]["seq"] + 1))
    assert pauses.reasons[0] is None  # the service ended the stream cleanly
    assert 2 <= pauses.seconds[0] <= 5  # the stream's `retry`


# --- with faulty servers ------------------------------------------------------------------


async def test_temporary_errors_are_retried_after_pauses_that_grow_and_are_bounded(
    pauses: Pauses,
) -> None:
    behaviours = [
        send_raw(STREAM + b"retry: 2500\n\n"),
        *[close_at_once] * 6,
        answer(429, b"{}", {"Retry-After": "0"}),
        *(answer(503, b"{}", {"Retry-After": each}) for each in ("7", "86400")),
        answer(503, b"{}"),
        send_raw(STREAM + DONE),
    ]
    assert await followed(behaviours, pauses) == []
    assert pauses.seconds == [2.5, 2.5, 2.5, 4, 8, 16, 30, 2.5, 7, 30, 30]
    types = [type(reason) for reason in pauses.reasons]
    assert types == [type(None), *[Unreachable] * 6, *[ApiError] * 4]


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_refusal_ends_it_after_a_connection_too(status: int, pauses: Pauses) -> None:
    refusal = answer(status, b'{"code": "no", "detail": "No."}', OURS)
    with pytest.raises(ApiError) as caught:
        await followed([send_raw(STREAM), refusal], pauses)
    assert caught.value.status == status


async def test_what_a_proxy_answers_meanwhile_is_retried(pauses: Pauses) -> None:
    """While the service is away, a proxy may answer with a page, a redirect, even a 200."""
    page = {"Content-Type": "text/html"}
    behaviours = [
        send_raw(STREAM),
        answer(404, b"<p>Not found", page),
        answer(302, b"", {"Location": "/maintenance"}),
        answer(200, b"<p>Back soon", page),
        answer(401, b"{}"),
        send_raw(STREAM + DONE),
    ]
    assert await followed(behaviours, pauses) == []
    assert pauses.seconds == [1.0, 1.0, 2.0, 4.0, 8.0]


async def test_pauses_do_not_grow_while_the_service_can_be_reached(pauses: Pauses) -> None:
    """A proxy may cut quiet streams, hours apart."""
    cut = send_raw(STREAM.replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\n: quiet"))
    assert await followed([cut] * 5 + [send_raw(STREAM + DONE)], pauses) == []
    assert {type(reason) for reason in pauses.reasons} == {Unreachable}
    assert pauses.seconds == [1.0] * 5


@pytest.mark.parametrize("body", [b"hi", DONE])
async def test_another_server_s_answer_is_an_error(body: bytes, pauses: Pauses) -> None:
    page = HEAD + b"Content-Type: text/html\r\n\r\n"
    with pytest.raises(ApiError, match="not the service's"):
        await followed([send_raw(page + body)], pauses)
