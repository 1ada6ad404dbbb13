"""A minimal application, and one connection to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from receiver.server.connection import GuardedConnection
from receiver.server.serve import ASGIApp
from tests.http_api.raw_http import RawConnection, raw_connection
from tests.support.asgi_server import asgi_server


@asynccontextmanager
async def connected(app: ASGIApp) -> AsyncIterator[RawConnection]:
    """Serve the application; yields a connection."""
    async with asgi_server(app) as url, raw_connection(url) as client:
        yield client


def connection_of(send: Any) -> GuardedConnection:
    """The connection to which uvicorn's `send` writes."""
    connection = send.__self__.transport.get_protocol()
    assert isinstance(connection, GuardedConnection)
    return connection


@dataclass
class Echo:
    """Answers with the target and the body: `/early` before the body, `/slow` when a test lets it
    go."""

    connection: GuardedConnection = field(init=False)
    scope: Any = None
    served: list[tuple[str, str, bytes]] = field(default_factory=list)
    """Methods, paths and bodies."""
    disconnected: int = 0
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope, self.connection = scope, connection_of(send)
        self.begun.set()
        body = b""
        try:
            if scope["path"] != "/early":
                body = await Request(scope, receive).body()
        except ClientDisconnect:
            self.disconnected += 1
            return
        if scope["path"] == "/slow":
            await self.go.wait()
        self.served.append((scope["method"], scope["path"], body))
        await Response(scope["raw_path"] + body)(scope, receive, send)
