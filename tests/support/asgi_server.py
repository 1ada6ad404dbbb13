"""Serves an ASGI application that a test defines, on a port of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from receiver.server.serve import ASGIApp, listen, origin, serving


@asynccontextmanager
async def asgi_server(app: ASGIApp) -> AsyncIterator[str]:
    """Serve the application, which gets requests alone and no lifespan; yields its URL."""

    async def requests_alone(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await app(scope, receive, send)

    with listen("127.0.0.1", 0) as listener:
        async with serving(requests_alone, listener, grace=0):
            yield origin(listener)


async def while_connected(request: Request, answer: Awaitable[Response]) -> Response:
    """Await the answer, but stop if the client disconnects first. Call it once the body is read."""
    answering = asyncio.ensure_future(answer)
    going = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({answering, going}, return_when=asyncio.FIRST_COMPLETED)
        return answering.result() if answering.done() else Response(status_code=499)
    finally:
        answering.cancel()
        going.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
