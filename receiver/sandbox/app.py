"""A sandbox: one provider's HTTP API, and a few pages for people and tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from receiver.clock import Clock
from receiver.sandbox.api import MakeApi, SandboxApi
from receiver.sandbox.faults import FaultPlan, SandboxRules
from receiver.sandbox.jobs import Jobs
from receiver.sandbox.memory import Memory
from receiver.sandbox.results import CLIP, ResultLinks

_RESULT_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=3600",
}
_INDEX: Final = """\
<!doctype html><html lang="en"><meta charset="utf-8"><title>Sandbox provider</title>
<style>body{{font:16px/1.6 system-ui;max-width:40em;margin:4em auto;padding:0 1em}}</style>
<h1>Sandbox provider</h1>
<p>It imitates a provider's API under <code>{path}</code>, renders nothing, costs nothing,
keeps everything in memory, and fails as often as configured.</p>
<ul><li><a href="/sandbox/jobs">/sandbox/jobs</a>: every job, as the provider sees it
<li><a href="/sandbox/stats">/sandbox/stats</a>: counts since the start</ul>
"""


def create_app(
    rules: SandboxRules,
    clock: Clock,
    base_url: str,
    api_key: str | None,
    make_api: MakeApi,
    *,
    callback_transport: httpx.AsyncBaseTransport | None = None,
    memory: Memory | None = None,
) -> Starlette:
    """The sandbox as an ASGI application.

    Args:
        rules: how it behaves.
        clock: determines the progress of jobs.
        base_url: its origin, used in result links.
        api_key: the only accepted key; None accepts any that is not empty.
        make_api: the API that it imitates.
        callback_transport: carries the callbacks instead of real connections.
        memory: the jobs of an earlier process, and where new ones are recorded, if jobs must
            survive this process; `rules.seed` must be the memory's.
    """
    faults = FaultPlan(rules)
    # A new connection for each callback: if the server closed a reused one, a callback would be
    # lost that no rule drops.
    http = httpx.AsyncClient(
        transport=callback_transport,
        trust_env=False,
        limits=httpx.Limits(max_keepalive_connections=0),
    )
    jobs = Jobs(
        faults,
        ResultLinks(base_url, faults.link_key()),
        clock,
        rules.render_seconds,
        http,
        memory or Memory(),
        lambda job, state: api.callback(job, state),  # noqa: PLW0108 - `api` is created below
    )
    api = make_api(jobs, api_key)
    return _served(jobs, api)


def _served(jobs: Jobs, api: SandboxApi) -> Starlette:
    pages = _Pages(jobs, api)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        jobs.resume()
        try:
            yield
        finally:
            await jobs.close()

    async def refuse(_request: Request, refusal: Exception) -> Response:
        assert isinstance(refusal, HTTPException)
        body = api.refusal(refusal.status_code, refusal.detail)
        return JSONResponse(body, refusal.status_code, headers=refusal.headers)

    return Starlette(
        routes=[
            Route("/results/{request_id}.webm", pages.result),
            Route("/sandbox/jobs", pages.list_jobs),
            Route("/sandbox/stats", pages.stats),
            Route("/", pages.index),
            *api.routes(),
        ],
        lifespan=lifespan,
        exception_handlers={HTTPException: refuse},
    )


class _Pages:
    """For people and tests."""

    def __init__(self, jobs: Jobs, api: SandboxApi) -> None:
        self._jobs = jobs
        self._find = api.find
        self._index = _INDEX.format(path=api.path)

    async def result(self, request: Request) -> Response:
        job = self._find(request.path_params["request_id"])
        query, now = request.query_params, self._jobs.clock.now()
        expires, signature = query.get("expires", ""), query.get("signature", "")
        if not self._jobs.links.is_valid(job.request_id, expires, signature, now):
            raise HTTPException(403, "The link has expired.")
        if self._jobs.state(job).link is None:
            raise HTTPException(404, "There is no result.")
        return FileResponse(CLIP, media_type="video/webm", headers=_RESULT_HEADERS)

    async def list_jobs(self, _request: Request) -> Response:
        return JSONResponse(self._jobs.listing())

    async def stats(self, _request: Request) -> Response:
        return JSONResponse(self._jobs.stats())

    async def index(self, _request: Request) -> Response:
        return HTMLResponse(self._index)
