"""A service that is away under a page's stream: Chromium's own EventSource, and our module."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Request

from tests.browser.conftest import Visit
from tests.browser.test_receiver_events import FOLLOW, page_of_our_own, seen, seen_when
from tests.streams.scripted_job import COMPLETED, HEARTBEAT, Job, accepted_job

pytestmark = pytest.mark.browser

EVENT_SOURCE = """async service => {
    const answer = await (await fetch("/ticket", { method: "POST" })).json();
    const source = new EventSource(new URL(answer.url, service));
    globalThis.seen = [];
    for (const kind of ["message", "snapshot", "update", "reset"])
        source.addEventListener(kind, event => seen.push([kind, JSON.parse(event.data).seq]));
    source.addEventListener("done", event => {
        seen.push(["done", JSON.parse(event.data).status]);
        source.close();
    });
}"""


def refused(request: Request) -> bool:
    return "ERR_CONNECTION_REFUSED" in (request.failure or "")


async def be_away_until_asked_for(job: Job, page: Page, asked: dict[str, Any]) -> None:
    async with page.expect_event("requestfailed", refused):
        await job.where.stop()
    await job.where.start()
    asked["client"] = job.service.client(job.key)


@pytest.mark.parametrize("program", [EVENT_SOURCE, FOLLOW], ids=["EventSource", "receiver-events"])
async def test_a_stream_goes_on_where_it_was(tmp_path: Path, visit: Visit, program: str) -> None:
    async with page_of_our_own() as (url, asked), accepted_job(tmp_path, cors_origins=url) as job:
        asked |= {
            "client": job.service.client(job.key),
            "body": {"request_id": job.request_id},
        }
        page = (await visit(url)).page
        await page.goto(url)
        await page.evaluate(program, job.service.url)
        [[_, first]] = await seen_when(page, "snapshot")

        await be_away_until_asked_for(job, page, asked)  # and nothing is new
        await job.read_by(1)
        await asyncio.sleep(2 * HEARTBEAT)
        await job.callback(status="IN_PROGRESS", progress=10)
        await seen_when(page, "update")

        await be_away_until_asked_for(job, page, asked)
        await job.callback(**COMPLETED)  # before the page is back
        await seen_when(page, "done")

        assert await seen(page) == [
            ["snapshot", first],
            ["update", first + 1],
            ["update", first + 2],
            ["done", "COMPLETED"],
        ]
        assert asked["tickets"] == 1
