"""A server with an answer for each method and path, which records its requests."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.asgi_server import asgi_server


@dataclass
class Call:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class PathServer:
    """Answers 404 to every path that has no answer."""

    origin: str = ""
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    """By `METHOD /path`: the status, and the body as JSON."""
    calls: list[Call] = field(default_factory=list)
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    """By `METHOD /path`: an event that the answer waits for."""

    def asked(self, *starts: str) -> list[str]:
        """The calls so far that begin with one of these, as `METHOD /path`."""
        calls = [f"{call.method} {call.path}" for call in self.calls]
        return [each for each in calls if each.startswith(starts or "")]

    def call(self, start: str) -> Call:
        """The latest call that begins with this."""
        return next(c for c in reversed(self.calls) if f"{c.method} {c.path}".startswith(start))

    async def answer(self, request: Request) -> Response:
        path = request.url.path
        self.calls.append(
            Call(
                request.method,
                path,
                dict(request.query_params),
                dict(request.headers),
                await request.body(),
            )
        )
        name = f"{request.method} {path}"
        if name in self.held:
            await self.held[name].wait()
        status, content = self.answers.get(name, (404, {"detail": "not found"}))
        if isinstance(content, Response):
            return content
        if isinstance(content, bytes):
            return Response(content, status)
        return JSONResponse(content, status)


@asynccontextmanager
async def path_server(
    answers: dict[str, tuple[int, Any]] | None = None,
) -> AsyncIterator[PathServer]:
    """Run the server until the block is left."""
    server = PathServer(answers=dict(answers or {}))
    routes = [Route("/{path:path}", server.answer, methods=["GET", "POST", "PUT"])]
    async with asgi_server(Starlette(routes=routes)) as server.origin:
        yield server
