"""A page of another origin, which follows streams with tickets from its own backend."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from playwright.async_api import Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from tests.support.asgi_server import asgi_server
from tests.support.service import RunningService, eventually, submit

FOLLOW = """async service => {
    const { follow } = await import(service + "/static/receiver-events.js");
    globalThis.seen = [];
    globalThis.stream = follow({
        ticket: async () => (await fetch("/my-backend/ticket")).json(),
        cursor: sessionStorage.cursor,
        onSnapshot: document => seen.push(["snapshot", document.seq ?? document.jobs.length]),
        onUpdate: job => seen.push(["update", job.seq]),
        onDone: done => seen.push(["done", done.status]),
        onTrouble: error => seen.push(["trouble", error.message]),
    });
}"""


@dataclass
class OtherOrigin:
    """The page, and the backend behind it."""

    url: str = ""
    html: str = "<!doctype html><title>A page</title>"
    client: httpx.AsyncClient = field(init=False)
    """The client that requests tickets; set by `order`."""
    body: dict[str, str] = field(default_factory=dict)
    """The body of the requests for tickets."""
    tickets: int = 0

    async def order(self, service: RunningService) -> str:
        """Submit a job, and issue tickets for it from now on; returns its id."""
        self.client = await service.user()
        job_id: str = (await submit(self.client))["request_id"]
        self.body = {"request_id": job_id}
        return job_id

    async def page(self, _: Request) -> HTMLResponse:
        return HTMLResponse(self.html)

    async def ticket(self, _: Request) -> JSONResponse:
        self.tickets += 1
        answer = await self.client.post("/v1/stream-tickets", json=self.body)
        return JSONResponse(answer.json(), answer.status_code)


@asynccontextmanager
async def other_origin() -> AsyncIterator[OtherOrigin]:
    """Serve the page until the block is left."""
    origin = OtherOrigin()
    routes = [Route("/", origin.page), Route("/my-backend/{path}", origin.ticket)]
    async with asgi_server(Starlette(routes=routes)) as origin.url:
        yield origin


async def seen(page: Page) -> list[list[Any]]:
    """What `FOLLOW` has recorded."""
    found: list[list[Any]] = await page.evaluate("seen")
    return found


async def wait_until_seen(page: Page, kind: str, times: int = 1) -> list[list[Any]]:
    return await eventually(
        lambda: seen(page), lambda all_: [each[0] for each in all_].count(kind) >= times, kind
    )
