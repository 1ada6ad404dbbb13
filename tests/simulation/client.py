"""HTTP without sockets: requests and streams are direct calls of the ASGI application.

A request dies with the process that answers it, as its connection would.
"""

import asyncio
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from tests.simulation.loop import running_loop


class NoAnswer(Exception):
    """The connection was refused, or broke before an answer came."""


@dataclass
class Response:
    """A complete answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Exchange:
    """One request to one process, from the client's side of the connection."""

    def __init__(self, body: bytes, on_chunk: Callable[[bytes], None] | None = None) -> None:
        loop = running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self._request: bytes | None = body
        self._gone: asyncio.Future[None] = loop.create_future()
        self._on_chunk = on_chunk
        self._drained: asyncio.Future[None] | None = None

    async def receive(self) -> MutableMapping[str, Any]:
        if self._request is not None:
            body, self._request = self._request, None
            return {"type": "http.request", "body": body, "more_body": False}
        await asyncio.shield(self._gone)
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if self._drained is not None:
            await asyncio.shield(self._drained)
        if self.ended.done():
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            pairs = message.get("headers", ())
            self.headers = {name.decode().lower(): value.decode() for name, value in pairs}
            return
        chunk = message.get("body", b"")
        if self._on_chunk is None or self.status != 200:
            self.body += chunk
        elif chunk:
            self._on_chunk(chunk)
        if not message.get("more_body", False):
            self.ended.set_result(None)

    # --- the client's end -------------------------------------------------------------------------

    def lag(self) -> None:
        """Read nothing more until `drain`."""
        if self._drained is None:
            self._drained = running_loop().create_future()

    def drain(self) -> None:
        """Read again."""
        if self._drained is not None:
            drained, self._drained = self._drained, None
            drained.set_result(None)

    def hang_up(self) -> None:
        """Disconnect; the service notices."""
        if not self._gone.done():
            self._gone.set_result(None)
        self.drain()
        self.reset()

    def reset(self) -> None:
        """Break the connection."""
        if not self.ended.done():
            self.ended.set_exception(NoAnswer("connection reset"))
            self.ended.exception()  # retrieved, so that asyncio does not log it


def scope(method: str, target: str, headers: dict[str, str]) -> dict[str, Any]:
    """The ASGI scope of one request."""
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("192.0.2.1", 40_000),
        "server": ("receiver.example", 443),
    }
