"""Each fault, on request."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.sandbox.conftest import HandClock, Sink, Start
from tests.support.service import TIMEOUT

MOVIE_PATH = "/v1/video/create_movie"


async def submit(
    client: httpx.AsyncClient, movie: dict[str, Any], webhook_url: str | None = None
) -> httpx.Response:
    return await client.post(MOVIE_PATH, json={"input": movie, "webhookUrl": webhook_url})


async def until_stats(client: httpx.AsyncClient, **expected: int) -> None:
    """Returns once the sandbox's counts are as expected."""
    async with asyncio.timeout(TIMEOUT):
        while not (await client.get("/sandbox/stats")).json().items() >= expected.items():
            continue


async def test_dropped_callbacks(
    start: Start, sink: Sink, clock: HandClock, movie: dict[str, Any]
) -> None:
    client = await start(drop_callbacks=1)
    await submit(client, movie, sink.url)
    clock.advance(10)
    await until_stats(client, callbacks_dropped=4, callbacks_sent=0)
    assert sink.is_empty()


async def test_duplicated_callbacks(
    start: Start, sink: Sink, clock: HandClock, movie: dict[str, Any]
) -> None:
    client = await start(duplicate_callbacks=1)
    await submit(client, movie, sink.url)
    clock.advance(10)
    received = [await sink.next() for _ in range(8)]
    assert received[0::2] == received[1::2]
    assert received[-1]["status"] == "COMPLETED"
    await until_stats(client, callbacks_sent=8, callbacks_duplicated=4)


async def test_a_late_final_callback(
    start: Start, sink: Sink, clock: HandClock, movie: dict[str, Any]
) -> None:
    client = await start(late_callbacks=1)
    await submit(client, movie, sink.url)
    clock.advance(19)
    assert [(await sink.next())["status"] for _ in range(3)] == ["IN_PROGRESS"] * 3
    assert (await client.get("/sandbox/jobs")).json()[0]["status"] == "COMPLETED"
    assert sink.is_empty()
    clock.advance(1)
    assert (await sink.next())["status"] == "COMPLETED"


async def test_a_progress_callback_after_the_final_one(
    start: Start, sink: Sink, clock: HandClock, movie: dict[str, Any]
) -> None:
    client = await start(reorder_callbacks=1)
    await submit(client, movie, sink.url)
    clock.advance(11)
    received = [(await sink.next())["progress"] for _ in range(4)]
    assert received == [25, 50, 100, 75]


async def test_failed_jobs(
    start: Start, sink: Sink, clock: HandClock, movie: dict[str, Any]
) -> None:
    client = await start(fail_jobs=1)
    request_id = (await submit(client, movie, sink.url)).json()["request_id"]
    clock.advance(10)
    for _ in range(3):
        await sink.next()
    received = await sink.next()
    assert received["status"] == "FAILED"
    assert received["message"]
    assert "result" not in received
    status = await client.get("/v1/video/status", params={"request_id": request_id})
    assert received == {"request_id": request_id, **status.json()}


async def test_a_submission_that_is_never_answered_creates_its_job(
    start: Start, sink: Sink, clock: HandClock, movie: dict[str, Any]
) -> None:
    client = await start(submit_timeouts=1)
    waiting = asyncio.create_task(submit(client, movie, sink.url))
    await until_stats(client, jobs=1)
    clock.advance(10)
    assert [(await sink.next())["status"] for _ in range(4)][-1] == "COMPLETED"
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_server_error_before_the_job(start: Start, movie: dict[str, Any]) -> None:
    client = await start(server_errors_before=1)
    assert (await submit(client, movie)).status_code == 500
    await until_stats(client, submissions=1, jobs=0)


async def test_a_server_error_after_the_job(
    start: Start, sink: Sink, clock: HandClock, movie: dict[str, Any]
) -> None:
    client = await start(server_errors_after=1)
    assert (await submit(client, movie, sink.url)).status_code == 500
    await until_stats(client, submissions=1, jobs=1)
    clock.advance(2.5)
    assert (await sink.next())["status"] == "IN_PROGRESS"


async def test_a_busy_provider(start: Start, movie: dict[str, Any]) -> None:
    client = await start(busy_bursts=1)
    answers = [await submit(client, movie) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 503, 429, 503]
    assert {answer.headers["retry-after"] for answer in answers} == {"1"}
    await until_stats(client, submissions=4, jobs=0)


async def test_a_status_call_finds_the_provider_busy(start: Start, movie: dict[str, Any]) -> None:
    client = await start(busy_bursts=0.1, seed=3)
    answer = await submit(client, movie)
    query = {"request_id": answer.json()["request_id"]}
    codes = [(await client.get("/v1/video/status", params=query)).status_code for _ in range(60)]
    assert set(codes) == {200, 429, 503}


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", f"http://{'a' * 64}/"])
async def test_an_unreachable_webhook_is_tried_once_and_ends_nothing(
    start: Start, clock: HandClock, movie: dict[str, Any], url: str
) -> None:
    client = await start()
    request_id = (await submit(client, movie, url)).json()["request_id"]
    clock.advance(10)
    await until_stats(client, callbacks_sent=4)
    status = await client.get("/v1/video/status", params={"request_id": request_id})
    assert status.json()["status"] == "COMPLETED"


async def test_a_seed_gives_the_same_plans_whatever_the_order_of_other_calls(
    start: Start, clock: HandClock, movie: dict[str, Any]
) -> None:
    rules = {"fail_jobs": 0.5, "server_errors_after": 0.3, "server_errors_before": 0.2, "seed": 7}

    async def run(polls: int, **other: Any) -> list[tuple[str, str]]:
        client = await start(**rules | other)
        for _ in range(20):
            await submit(client, movie)
            clock.advance(0.3 * polls)
            for _ in range(polls):
                await client.get("/v1/video/status", params={"request_id": "x"})
        clock.advance(10)
        jobs = (await client.get("/sandbox/jobs")).json()
        return [(job["request_id"], job["status"]) for job in jobs]

    first, second, other = await run(0), await run(2), await run(0, seed=8)
    assert first == second
    assert {status for _, status in first} == {"COMPLETED", "FAILED"}
    assert first != other
