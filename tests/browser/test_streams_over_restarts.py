"""A service that restarts: Chromium's own EventSource, and the module on top of it."""

import asyncio
from pathlib import Path

from playwright.async_api import Request

from tests.browser.conftest import Visit
from tests.browser.other_origin import FOLLOW, other_origin, wait_until_seen
from tests.streams.scripted_job import COMPLETED, HEARTBEAT, accepted_job

EVENT_SOURCE = """async service => {
    const answer = await (await fetch("/my-backend/ticket")).json();
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


async def test_a_stream_continues_after_the_last_event(tmp_path: Path, visit: Visit) -> None:
    """Both are cut twice: once without a new event, and once with an event that they missed."""
    async with other_origin() as origin, accepted_job(tmp_path, cors_origins=origin.url) as job:
        origin.client, origin.body = job.service.client(job.key), {"request_id": job.request_id}
        native, module = [(await visit(origin.url)).page for _ in range(2)]
        for page, program in ((native, EVENT_SOURCE), (module, FOLLOW)):
            await page.goto(origin.url)
            await page.evaluate(program, job.service.url)
        [[_, first]] = await wait_until_seen(native, "snapshot")
        assert await wait_until_seen(module, "snapshot") == [["snapshot", first]]

        async def restart() -> None:
            async with (
                native.expect_event("requestfailed", refused),
                module.expect_event("requestfailed", refused),
            ):
                await job.stop()
            await job.start()
            origin.client = job.service.client(job.key)

        await restart()
        await job.read_by(2)
        await asyncio.sleep(2 * HEARTBEAT)
        await job.callback(status="IN_PROGRESS", progress=10)
        await wait_until_seen(native, "update")
        await wait_until_seen(module, "update")

        await restart()
        await job.callback(**COMPLETED)  # before the pages reconnect
        lost = ["trouble", "the connection was lost"]
        for page, told in ((native, []), (module, [lost])):
            assert await wait_until_seen(page, "done") == [
                ["snapshot", first],
                *told,
                ["update", first + 1],
                *told,
                ["update", first + 2],
                ["done", "COMPLETED"],
            ]
        assert origin.tickets == 2
