"""A sandbox: one provider's HTTP API, and a few pages for people and tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from receiver.clock import Clock
from receiver.sandbox.api import MakeApi
from receiver.sandbox.faults import FaultPlan, SandboxRules
from receiver.sandbox.jobs import Jobs
from receiver.sandbox.journal import Journal

_CLIP: Final = Path(__file__).with_name("clip.webm")
"""Four seconds of moving colours."""


@asynccontextmanager
async def sandbox_app(
    rules: SandboxRules,
    clock: Clock,
    origin: str,
    make_api: MakeApi,
    *,
    callback_transport: httpx.AsyncBaseTransport | None = None,
    journal: Journal | None = None,
) -> AsyncIterator[Starlette]:
    """The sandbox as an ASGI application; its jobs run until the block ends.

    Args:
        rules: how it behaves.
        clock: determines the progress of jobs.
        origin: used in links.
        make_api: the API that it imitates.
        callback_transport: carries the callbacks instead of real connections.
        journal: the jobs of an earlier process, and where new ones are recorded, if jobs must
            survive this process; `rules.seed` must be the journal's.
    """
    # A new connection for each callback: if the server closed a reused one, a callback would be
    # lost that no rule drops.
    http = httpx.AsyncClient(
        transport=callback_transport,
        trust_env=False,
        limits=httpx.Limits(max_keepalive_connections=0),
    )
    jobs = Jobs(FaultPlan(rules), origin, clock, http, journal or Journal())
    api = make_api(jobs)
    jobs.make_callback = api.callback

    async def refuse(_request: Request, refusal: Exception) -> Response:
        assert isinstance(refusal, HTTPException)
        body = api.refusal(refusal.status_code, refusal.detail)
        return JSONResponse(body, refusal.status_code, headers=refusal.headers)

    async def result(request: Request) -> Response:
        job = api.find(request.path_params["request_id"])
        if jobs.state(job).link is None:
            raise HTTPException(404, "There is no result.")
        return FileResponse(_CLIP, media_type="video/webm")

    async def list_jobs(_request: Request) -> Response:
        return JSONResponse(jobs.listing())

    async def stats(_request: Request) -> Response:
        return JSONResponse(jobs.stats())

    app = Starlette(
        routes=[
            Route("/results/{request_id}.webm", result),
            # for people and tests
            Route("/sandbox/jobs", list_jobs),
            Route("/sandbox/stats", stats),
            *api.routes(),
        ],
        exception_handlers={HTTPException: refuse},
    )
    jobs.resume()
    try:
        yield app
    finally:
        await jobs.close()
