"""The module that follows a stream from a page of another origin, in a real Chromium."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Page, Route
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route as Path

from tests.browser.conftest import SkippingClock, Start, Visit
from tests.support.served import served
from tests.support.service import RunningService, eventually, submit

pytestmark = pytest.mark.browser

FOLLOW = """async service => {
    const { follow } = await import(service + "/static/receiver-events.js");
    globalThis.seen = [];
    globalThis.stream = follow({
        ticket: async () => (await fetch("/ticket", { method: "POST" })).json(),
        onSnapshot: document => seen.push(["snapshot", document.seq ?? document.jobs.length]),
        onUpdate: job => seen.push(["update", job.seq]),
        onDone: done => seen.push(["done", done.status]),
        onTrouble: error => seen.push(["trouble", error.message]),
    });
}"""


@asynccontextmanager
async def other_origin() -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """A page of another origin, whose server fetches tickets.

    `asked` has the `client` and the `body` for that, and counts the `tickets`.
    """
    asked: dict[str, Any] = {"tickets": 0}

    async def ticket(_: Request) -> JSONResponse:
        asked["tickets"] += 1
        answer = await asked["client"].post("/v1/stream-tickets", json=asked["body"])
        return JSONResponse(answer.json(), answer.status_code)

    async def page(_: Request) -> HTMLResponse:
        return HTMLResponse("<!doctype html><title>A page</title>")

    app = Starlette(routes=[Path("/", page), Path("/ticket", ticket, methods=["POST"])])
    async with served(app) as url:
        yield url, asked


async def seen(page: Page) -> list[list[Any]]:
    found: list[list[Any]] = await page.evaluate("seen")
    return found


async def seen_when(page: Page, kind: str, times: int = 1) -> list[list[Any]]:
    return await eventually(
        lambda: seen(page), lambda all_: [each[0] for each in all_].count(kind) >= times, kind
    )


async def a_job(service: RunningService, asked: dict[str, Any]) -> str:
    asked["client"] = await service.user()
    job_id: str = (await submit(asked["client"]))["request_id"]
    asked["body"] = {"request_id": job_id}
    return job_id


async def test_refused_streams_are_opened_again_until_the_job_is_done(
    visit: Visit, start: Start
) -> None:
    async with other_origin() as (url, asked):
        clock = SkippingClock()
        service = await start(sandbox_render=3600, clock=clock, cors_origins=url)
        job_id = await a_job(service, asked)
        page = (await visit(url)).page
        await page.goto(url)
        refusals = [502, 401, 503]
        cursors: list[str] = []

        async def refuse(route: Route) -> None:
            cursors.append(route.request.url.partition("last_event_id=")[2])
            if refusals:
                await route.fulfill(status=refusals.pop(0), body="a proxy")
            else:
                await route.continue_()

        await page.route(f"**/v1/jobs/{job_id}/events*", refuse)
        await page.evaluate(FOLLOW, service.url)
        await seen_when(page, "snapshot")
        clock.skip(1800)
        await seen_when(page, "update")
        clock.skip(1800)
        events = await seen_when(page, "done")

    assert events[:3] == [["trouble", "the stream was refused"]] * 3
    assert asked["tickets"] == 4
    assert cursors == [""] * 4
    kind, first = events[3]
    assert kind == "snapshot"
    *updates, done = events[4:]
    assert updates
    assert updates == [["update", seq] for seq in range(first + 1, first + 1 + len(updates))]
    assert done == ["done", "COMPLETED"]


async def test_a_new_ticket_continues_after_the_last_event(visit: Visit, start: Start) -> None:
    async with other_origin() as (url, asked):
        service = await start(sandbox_render=60, cors_origins=url)
        asked |= {"client": await service.user(), "body": {}}
        page = (await visit(url)).page
        await page.goto(url)
        await page.evaluate(FOLLOW, service.url)
        assert await seen_when(page, "snapshot") == [["snapshot", 0]]
        await submit(asked["client"])
        await seen_when(page, "update", 3)

        await service.store.keys.revoke(asked["client"].headers["API-KEY"][:11], 1)
        asked["client"] = await service.user()
        service.inner.context.broadcast.close()  # cut, as by a restart; the old ticket is 401 then
        service.inner.context.broadcast.closing = False
        await seen_when(page, "trouble")
        (job,) = (await asked["client"].get("/v1/jobs")).json()["jobs"]
        cancelled = (await asked["client"].post(job["links"]["cancel"])).json()
        events = await eventually(
            lambda: seen(page), lambda all_: ["update", cancelled["seq"]] in all_, "the cancel"
        )

    assert asked["tickets"] >= 2
    assert [each for each in events if each[0] != "trouble"] == [
        ["snapshot", 0],
        *(["update", seq] for seq in range(1, cancelled["seq"] + 1)),
    ]


async def test_the_end_is_reported_if_only_done_was_lost(visit: Visit, start: Start) -> None:
    async with other_origin() as (url, asked):
        service = await start(sandbox_render=0.3, cors_origins=url)
        job_id = await a_job(service, asked)
        page = (await visit(url)).page
        await page.goto(url)
        client = asked["client"]
        await eventually(lambda: client.get(f"/v1/jobs/{job_id}"), lambda job: job.json()["done"])
        last = (await client.get(f"/v1/jobs/{job_id}/history")).json()["history"][-1]
        event = f"retry: 100\nevent: update\nid: {last['id']}\ndata: {json.dumps(last['job'])}\n\n"
        headers = {"Access-Control-Allow-Origin": url, "Content-Type": "text/event-stream"}
        cut = [event]

        async def without_done(route: Route) -> None:
            if cut:
                await route.fulfill(status=200, headers=headers, body=cut.pop())
            else:
                await route.continue_()

        await page.route(f"**/v1/jobs/{job_id}/events*", without_done)
        await page.evaluate(FOLLOW, service.url)
        events = await seen_when(page, "done")

    assert events == [["update", last["job"]["seq"]], ["done", "COMPLETED"]]
