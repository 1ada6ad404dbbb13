"""Each fault, on request."""

import asyncio
from typing import Any

import pytest

from tests.sandbox.conftest import STATUS_PATH, Start


async def test_dropped_callbacks(start: Start) -> None:
    sandbox = await start(drop_callbacks=1)
    await sandbox.made()
    sandbox.clock.advance(10)
    await sandbox.until_stats(callbacks_dropped=4, callbacks_sent=0)
    assert sandbox.sink.messages == []


async def test_duplicated_callbacks(start: Start) -> None:
    sandbox = await start(duplicate_callbacks=1)
    await sandbox.made()
    sandbox.clock.advance(10)
    received = await sandbox.called_back(8)
    assert received[0::2] == received[1::2]
    assert received[-1]["status"] == "COMPLETED"
    await sandbox.until_stats(callbacks_sent=8, callbacks_duplicated=4)


async def test_a_late_final_callback(start: Start) -> None:
    sandbox = await start(late_callbacks=1)
    await sandbox.made()
    sandbox.clock.advance(19)
    assert [each["status"] for each in await sandbox.called_back(3)] == ["IN_PROGRESS"] * 3
    assert (await sandbox.client.get("/sandbox/jobs")).json()[0]["status"] == "COMPLETED"
    assert sandbox.sink.messages == []
    sandbox.clock.advance(1)
    assert [each["status"] for each in await sandbox.called_back()] == ["COMPLETED"]


async def test_a_progress_callback_after_the_final_one(start: Start) -> None:
    sandbox = await start(reorder_callbacks=1)
    await sandbox.made()
    sandbox.clock.advance(11)
    assert [each["progress"] for each in await sandbox.called_back(4)] == [25, 50, 100, 75]


async def test_failed_jobs(start: Start) -> None:
    sandbox = await start(fail_jobs=1)
    request_id = await sandbox.made()
    sandbox.clock.advance(10)
    *_, received = await sandbox.called_back(4)
    assert received["status"] == "FAILED"
    assert received["message"]
    assert "result" not in received
    assert received == {"request_id": request_id, **await sandbox.status(request_id)}


async def test_a_submission_that_is_never_answered_creates_its_job(start: Start) -> None:
    sandbox = await start(submit_timeouts=1)
    waiting = asyncio.create_task(sandbox.submit())
    await sandbox.until_stats(jobs=1)
    sandbox.clock.advance(10)
    assert (await sandbox.called_back(4))[-1]["status"] == "COMPLETED"
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_server_error_before_or_after_the_job(start: Start) -> None:
    before, after = await start(server_errors_before=1), await start(server_errors_after=1)
    for sandbox, jobs in ((before, 0), (after, 1)):
        assert (await sandbox.submit()).status_code == 500
        await sandbox.until_stats(submissions=1, jobs=jobs)
    after.clock.advance(2.5)
    assert [each["status"] for each in await after.called_back()] == ["IN_PROGRESS"]


async def test_a_busy_provider(start: Start) -> None:
    sandbox = await start(busy_bursts=1)
    answers = [await sandbox.submit() for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 503, 429, 503]
    assert {answer.headers["retry-after"] for answer in answers} == {"1"}
    await sandbox.until_stats(submissions=4, jobs=0)


async def test_a_status_call_finds_the_provider_busy(start: Start) -> None:
    sandbox = await start(busy_bursts=0.1, seed=3)
    query = {"request_id": await sandbox.made()}
    answers = [await sandbox.client.get(STATUS_PATH, params=query) for _ in range(60)]
    assert {answer.status_code for answer in answers} == {200, 429, 503}


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", f"http://{'a' * 64}/"])
async def test_an_unreachable_webhook_is_tried_once_and_ends_nothing(
    start: Start, url: str
) -> None:
    sandbox = await start()
    request_id = await sandbox.made(url)
    sandbox.clock.advance(10)
    await sandbox.until_stats(callbacks_sent=4)
    assert (await sandbox.status(request_id))["status"] == "COMPLETED"


async def test_a_seed_gives_the_same_plans_whatever_the_order_of_other_calls(start: Start) -> None:
    rules = {"fail_jobs": 0.5, "server_errors_after": 0.3, "server_errors_before": 0.2, "seed": 7}

    async def run(polls: int, **other: Any) -> list[tuple[str, str]]:
        sandbox = await start(**rules | other)
        for _ in range(20):
            await sandbox.submit()
            sandbox.clock.advance(0.3 * polls)
            for _ in range(polls):
                await sandbox.client.get(STATUS_PATH, params={"request_id": "x"})
        sandbox.clock.advance(10)
        jobs = (await sandbox.client.get("/sandbox/jobs")).json()
        return [(job["request_id"], job["status"]) for job in jobs]

    first, second, other = await run(0), await run(2), await run(0, seed=8)
    assert first == second
    assert {status for _, status in first} == {"COMPLETED", "FAILED"}
    assert first != other
