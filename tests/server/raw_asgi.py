"""One connection to an application on the server, and parts of minimal applications."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from receiver.server.connection import CONNECTION, GuardedConnection
from receiver.server.load_shedding import ASGIApp, LoadShedder
from tests.http_api.raw_http import RawConnection, raw_connection
from tests.support.asgi_server import asgi_server


@asynccontextmanager
async def connected(app: ASGIApp) -> AsyncIterator[RawConnection]:
    """Serve the application; yields a connection."""
    async with asgi_server(app) as url, raw_connection(url) as client:
        yield client


def shedder(
    *,
    cannot_write: Callable[[], bool] = lambda: True,
    on_refusal: Callable[[str, bytes], object] = lambda *_: None,
) -> LoadShedder:
    """Exempts no request, and refuses what writes unless a test says otherwise."""
    return LoadShedder(
        exempt_from_shedding=lambda _: False, cannot_write=cannot_write, on_refusal=on_refusal
    )


async def respond(send: Any, body: bytes = b"", status: int = 200) -> None:
    """Send a complete response."""
    await begin(send, len(body), status)
    await send({"type": "http.response.body", "body": body})


async def begin(send: Any, length: int, status: int = 200) -> None:
    """Send a response's head, which says the length of its body in bytes."""
    headers = [(b"content-length", b"%d" % length)]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def read_body(receive: Any) -> bytes | None:
    """Read the request's whole body; None if the client has disconnected."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


@dataclass
class Echo:
    """A server that answers with the target and the body. `/slow` waits until a test lets it go or
    the client leaves, and `/deaf` until then before it reads the body."""

    url: str = ""
    connection: GuardedConnection = field(init=False)
    most_waiting: int = 0
    served: list[bytes] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        connection: GuardedConnection = scope["extensions"][CONNECTION]
        self.connection = connection
        self.most_waiting = max(self.most_waiting, len(connection.pipeline))
        if scope["path"] == "/deaf":
            self.begun.set()
            await self.go.wait()
        body = await read_body(receive)
        if scope["path"] == "/slow":
            self.begun.set()
            gone = asyncio.create_task(receive())
            await self.go.wait()
            gone.cancel()
        self.served.append(scope["raw_path"])
        await respond(send, scope["raw_path"] + (body or b""))

    def is_reading(self) -> bool:
        return self.connection.transport.is_reading()
