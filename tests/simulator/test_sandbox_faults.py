"""Each fault, on request."""

import asyncio

import pytest

from tests.simulator.conftest import STATUS_PATH, Start


async def test_duplicated_callbacks(start: Start) -> None:
    sandbox = await start(duplicate_callbacks=1)
    await sandbox.made()
    sandbox.clock.advance(10)
    received = await sandbox.called_back(8)
    assert received[0::2] == received[1::2]
    assert received[-1]["status"] == "COMPLETED"
    await sandbox.until_counted(sent=8, duplicated=4)


async def test_more_jobs_than_places_wait(start: Start) -> None:
    sandbox = await start(places=2, render_seconds=8)
    ids = [await sandbox.made() for _ in range(5)]

    async def statuses() -> list[str]:
        return [(await sandbox.status(each))["status"] for each in ids]

    for waiting, done in ((3, 0), (1, 2), (0, 4), (0, 5)):
        sandbox.clock.advance(4)
        seen = await statuses()
        assert [seen.count(word) for word in ("PENDING", "COMPLETED")] == [waiting, done]
        assert seen == sorted(seen, key=["COMPLETED", "IN_PROGRESS", "PENDING"].index)
        sandbox.clock.advance(4)
    await sandbox.called_back(20)


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
    while not await sandbox.jobs():
        continue
    sandbox.clock.advance(10)
    assert (await sandbox.called_back(4))[-1]["status"] == "COMPLETED"
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_server_error_after_the_job_was_created(start: Start) -> None:
    sandbox = await start(server_errors=1)
    assert (await sandbox.submit()).status_code == 500
    sandbox.clock.advance(2.5)
    assert [each["status"] for each in await sandbox.called_back()] == ["IN_PROGRESS"]


async def test_a_busy_provider(start: Start) -> None:
    sandbox = await start(busy=0.5)
    answers = [await sandbox.submit() for _ in range(20)]
    busy = [answer for answer in answers if answer.status_code != 200]
    assert {answer.status_code for answer in busy} == {429, 503}
    assert {answer.headers["retry-after"] for answer in busy} == {"1"}
    jobs = await sandbox.jobs()
    assert len(jobs) == 20 - len(busy)
    query = {"request_id": jobs[0]["request_id"]}
    asked = [await sandbox.client.get(STATUS_PATH, params=query) for _ in range(20)]
    assert {answer.status_code for answer in asked} == {200, 429, 503}


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", f"http://{'a' * 64}/"])
async def test_an_unreachable_webhook_is_tried_once_and_ends_nothing(
    start: Start, url: str
) -> None:
    sandbox = await start()
    request_id = await sandbox.made(url)
    sandbox.clock.advance(10)
    await sandbox.until_counted(sent=4)
    assert (await sandbox.status(request_id))["status"] == "COMPLETED"
