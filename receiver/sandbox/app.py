"""The provider's HTTP API, as `samsar-api.md` has it, and a few pages for people and tests."""

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, Final, NoReturn, assert_never

import httpx
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from receiver.clock import Clock
from receiver.json_text import UnreadableJson
from receiver.providers.lenient_json import read_json
from receiver.providers.samsar_input import InputRules
from receiver.sandbox.fates import Answer, Fates
from receiver.sandbox.jobs import Jobs, SandboxJob
from receiver.sandbox.memory import Memory, forgetful
from receiver.sandbox.results import ResultLinks, animation
from receiver.sandbox.rules import SandboxRules

API_PATH: Final = "/v1/video/"
"""Where the provider's API begins: a client's base URL is the origin and this."""

_RETRY_AFTER_SECONDS: Final = 1
_RESULT_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=3600",
}
_INDEX: Final = """\
<!doctype html><html lang="en"><meta charset="utf-8"><title>Sandbox provider</title>
<style>body{font:16px/1.6 system-ui;max-width:40em;margin:4em auto;padding:0 1em}</style>
<h1>Sandbox provider</h1>
<p>It speaks the video provider's API under <code>/v1/video/</code>, renders nothing, costs nothing,
keeps everything in memory, and goes wrong as often as it was told to.</p>
<ul><li><a href="/sandbox/jobs">/sandbox/jobs</a>: every job, as the provider sees it
<li><a href="/sandbox/stats">/sandbox/stats</a>: counts since the start</ul>
"""


def create_app(
    rules: SandboxRules,
    clock: Clock,
    base_url: str,
    api_key: str | None,
    input_rules: InputRules,
    *,
    callback_transport: httpx.AsyncBaseTransport | None = None,
    memory: Memory | None = None,
) -> Starlette:
    """The sandbox as an ASGI application.

    Args:
        rules: how it behaves.
        clock: its time; jobs are rendered by it.
        base_url: its origin, which result links begin with.
        api_key: the one key that it takes; None takes any that is not empty.
        input_rules: what it takes as a job's `input`.
        callback_transport: what carries the callbacks in place of real connections.
        memory: jobs that an earlier process made, and where new ones go, if they are to outlive
            this one; `rules.seed` is then the memory's.
    """
    fates = Fates(rules)
    # A fresh connection for each callback: a kept one that its server closes would lose a callback
    # that no rule asked to lose.
    http = httpx.AsyncClient(
        transport=callback_transport,
        trust_env=False,
        limits=httpx.Limits(max_keepalive_connections=0),
    )
    jobs = Jobs(
        fates,
        ResultLinks(base_url, fates.link_key()),
        clock,
        rules.render_seconds,
        http,
        memory or forgetful(),
    )

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        jobs.recall()
        try:
            yield
        finally:
            await jobs.close()

    api = _Api(jobs, fates, clock, api_key, input_rules)
    return Starlette(
        routes=[
            Route(f"{API_PATH}create_movie", api.submission("create_movie"), methods=["POST"]),
            Route(
                f"{API_PATH}create_narrative", api.submission("create_narrative"), methods=["POST"]
            ),
            Route(f"{API_PATH}status", api.status),
            Route("/results/{request_id}.svg", api.result),
            Route("/sandbox/jobs", api.list_jobs),
            Route("/sandbox/stats", api.stats),
            Route("/", api.index),
        ],
        lifespan=lifespan,
        exception_handlers={HTTPException: _message},
    )


class _Api:
    def __init__(
        self, jobs: Jobs, fates: Fates, clock: Clock, api_key: str | None, input_rules: InputRules
    ) -> None:
        self._jobs = jobs
        self._fates = fates
        self._clock = clock
        self._api_key = api_key
        self._input_rules = input_rules

    def submission(self, kind: str) -> Callable[[Request], Awaitable[Response]]:
        """The route that makes jobs of `kind`."""

        async def submit(request: Request) -> Response:
            self._authenticate(request.headers)
            ordinal = self._jobs.stats.submissions
            self._jobs.stats.submissions += 1
            if (busy := self._fates.busy_status("submissions", ordinal)) is not None:
                _refuse_busy(busy)
            if self._fates.is_broken(ordinal):
                raise HTTPException(500, "Internal server error")
            job_input, webhook_url = self._read_submission(kind, await request.body())
            job = self._jobs.make(kind, job_input, webhook_url)
            return await _answer(job, request)

        return submit

    async def status(self, request: Request) -> Response:
        self._authenticate(request.headers)
        self._jobs.stats.status_calls += 1
        request_id = request.query_params.get("request_id")
        if not request_id:
            raise HTTPException(400, "taskId query parameter is missing.")
        job = self._find(request_id)
        job.status_calls += 1
        # By the job's own count: how often others are polled must not change its fate.
        busy = self._fates.busy_status(f"status/{job.ordinal}", job.status_calls - 1)
        if busy is not None:
            _refuse_busy(busy)
        return JSONResponse(self._jobs.status(job))

    async def result(self, request: Request) -> Response:
        job = self._find(request.path_params["request_id"])
        query, now = request.query_params, self._clock.now()
        expires, signature = query.get("expires", ""), query.get("signature", "")
        if not self._jobs.links.is_valid(job.request_id, expires, signature, now):
            raise HTTPException(403, "The link has expired.")
        if not self._jobs.is_completed(job):
            raise HTTPException(404, "There is no result.")
        return Response(
            animation(job.request_id, job.input),
            media_type="image/svg+xml",
            headers=_RESULT_HEADERS,
        )

    async def list_jobs(self, _request: Request) -> Response:
        return JSONResponse(self._jobs.listing())

    async def stats(self, _request: Request) -> Response:
        return JSONResponse(asdict(self._jobs.stats))

    async def index(self, _request: Request) -> Response:
        return HTMLResponse(_INDEX)

    def _find(self, request_id: str) -> SandboxJob:
        job = self._jobs.find(request_id)
        if job is None:
            raise HTTPException(404, "Request not found.")
        return job

    def _authenticate(self, headers: Headers) -> None:
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        key = headers.get("API-KEY") or (token.strip() if scheme.lower() == "bearer" else "")
        if not key:
            raise HTTPException(400, "API-KEY is missing")
        if self._api_key is not None and not hmac.compare_digest(
            key.encode(), self._api_key.encode()
        ):
            raise HTTPException(401, "API-KEY is invalid")

    def _read_submission(self, kind: str, raw: bytes) -> tuple[Mapping[str, Any], str | None]:
        try:
            body = read_json(raw)
        except UnreadableJson:
            raise HTTPException(400, "Body is not valid JSON") from None
        if not isinstance(body, dict) or not isinstance(job_input := body.get("input"), dict):
            raise HTTPException(400, "Input is required")
        checked = dict(job_input)
        if isinstance(prompts := checked.get("prompt_list"), str):
            # The provider takes a bare string for a list of its characters.
            checked["prompt_list"] = list(prompts)
        for fault in self._input_rules.faults(kind, checked):
            raise HTTPException(400, fault.detail)
        return job_input, _webhook_url(body.get("webhookUrl"))


async def _answer(job: SandboxJob, request: Request) -> Response:
    match job.fate.answer:
        case Answer.ACCEPTED:
            return JSONResponse({"request_id": job.request_id})
        case Answer.ERROR:
            raise HTTPException(500, "Internal server error")
        case Answer.NEVER:
            # Until the client gives up, or the server cuts the connection at its end.
            while (await request.receive())["type"] != "http.disconnect":
                continue
            return Response()
        case _:
            assert_never(job.fate.answer)


def _webhook_url(given: object) -> str | None:
    if given is None or given == "":
        return None
    try:
        url = httpx.URL(str(given))
    except (httpx.InvalidURL, ValueError):
        raise HTTPException(400, "Webhook URL is invalid") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise HTTPException(400, "Webhook URL is invalid")
    return str(given)


def _refuse_busy(status_code: int) -> NoReturn:
    raise HTTPException(status_code, "Too busy", {"Retry-After": str(_RETRY_AFTER_SECONDS)})


async def _message(_request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, HTTPException)
    return JSONResponse(
        {"message": refusal.detail}, status_code=refusal.status_code, headers=refusal.headers
    )
