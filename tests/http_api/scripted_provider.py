"""A provider on a port of its own that answers as a test says, and records its requests."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.asgi_server import asgi_server, while_connected
from tests.support.service import TIMEOUT, wait_for_length

API_KEY = "operator-key"
COMPLETED = {"status": "COMPLETED", "result": {"videoUrl": "https://cdn.example/v.mp4"}}
FAILED = {"status": "FAILED", "message": "Out of memory"}


@dataclass
class Submission:
    """One call of `create_movie` or `create_narrative`."""

    kind: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def webhook_url(self) -> str:
        return str(self.body["webhookUrl"])


Submit = Callable[[Submission], Awaitable[Response]]
Status = Callable[[str], Awaitable[Response]]


@dataclass
class ScriptedProvider:
    """Accepts every job as `up-1`, `up-2` …, which stay PENDING unless a test changes that."""

    base_url: str = ""
    submissions: list[Submission] = field(default_factory=list)
    status_calls: list[str] = field(default_factory=list)
    states: defaultdict[str, dict[str, Any]] = field(
        default_factory=lambda: defaultdict(lambda: {"status": "PENDING"})
    )
    """By the provider's id: the body of its status answers."""
    submit: Submit | None = None
    """Answers submissions instead of the default."""
    status: Status | None = None
    """Answers status calls instead of `states`."""
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def settings(self) -> dict[str, Any]:
        """Settings of a service that uses this provider. Polls are late, so that only the test
        moves its jobs."""
        return {
            "provider": "samsar",
            "samsar_base_url": self.base_url,
            "samsar_api_key": API_KEY,
            "poll_first": 60,
            "poll_min": 60,
            "poll_max": 120,
            "poll_rate": 200,
        }

    def accept(self) -> Response:
        """The answer that accepts a submission, with the next id."""
        return JSONResponse({"request_id": f"up-{next(self._ids)}"})

    def hold_submissions(self, answer: Submit | None = None) -> asyncio.Event:
        """Answer submissions only once the event is set: like `answer`, or accept them."""
        release = asyncio.Event()

        async def held(submission: Submission) -> Response:
            await release.wait()
            return self.accept() if answer is None else await answer(submission)

        self.submit = held
        return release

    async def submitted(self, count: int = 1) -> Submission:
        """Wait for this many submissions; returns the last of them."""
        await wait_for_length(self.submissions, count, f"submission {count}")
        return self.submissions[count - 1]

    async def asked(self, count: int = 1) -> None:
        """Wait for this many status calls."""
        await wait_for_length(self.status_calls, count, f"status call {count}")

    async def answer_submission(self, request: Request) -> Response:
        submission = Submission(
            request.url.path.rpartition("/")[2], dict(request.headers), await request.json()
        )
        self.submissions.append(submission)
        if self.submit is None:
            return self.accept()
        return await while_connected(request, self.submit(submission))

    async def answer_status(self, request: Request) -> Response:
        request_id = request.query_params["request_id"]
        self.status_calls.append(request_id)
        if self.status is None:
            return JSONResponse(self.states[request_id])
        return await while_connected(request, self.status(request_id))


@asynccontextmanager
async def scripted_provider() -> AsyncIterator[ScriptedProvider]:
    """Serve a scripted provider until the block is left."""
    provider = ScriptedProvider()
    routes = [
        Route("/v1/video/create_movie", provider.answer_submission, methods=["POST"]),
        Route("/v1/video/create_narrative", provider.answer_submission, methods=["POST"]),
        Route("/v1/video/status", provider.answer_status),
    ]
    async with asgi_server(Starlette(routes=routes)) as url:
        provider.base_url = f"{url}/v1/video/"
        yield provider


def answering(status_code: int, body: Any, **headers: str) -> Submit:
    """Answers every submission like this."""

    async def answer(_: Submission) -> Response:
        return JSONResponse(body, status_code, headers)

    return answer


def refusing_status(status_code: int) -> Status:
    """Answers every status call like this."""

    async def answer(_: str) -> Response:
        return JSONResponse({"message": "No."}, status_code)

    return answer


async def never(_: object) -> Response:
    """An answer that never comes."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def call_back(url: str, body: Any) -> httpx.Response:
    """Send a callback, as the provider would."""
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=TIMEOUT) as client:
        if isinstance(body, bytes):
            return await client.post(url, content=body)
        return await client.post(url, json=body)
