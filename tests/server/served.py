"""Applications on the server, without the service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from receiver.server.load_shedding import ASGIApp, LoadShedder
from receiver.server.serve import listen, origin, serving
from tests.http_api.raw_http import RawConnection, raw_connection


@asynccontextmanager
async def served(app: ASGIApp, load_shedder: LoadShedder | None = None) -> AsyncIterator[str]:
    """Serve the application; yields its URL."""
    with listen("127.0.0.1", 0) as listener:
        async with serving(app, listener, grace=0, load_shedder=load_shedder):
            yield origin(listener)


@asynccontextmanager
async def connected(app: ASGIApp) -> AsyncIterator[RawConnection]:
    """Serve the application; yields a connection to it."""
    async with served(app) as url, raw_connection(url) as client:
        yield client


async def respond(send: Any, body: bytes = b"", status: int = 200) -> None:
    """Send a whole response."""
    length = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": length})
    await send({"type": "http.response.body", "body": body})


async def read_body(receive: Any) -> bytes | None:
    """The request's whole body; None if its client has gone."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)
