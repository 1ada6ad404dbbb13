"""Answers before the end of a body, so that the client sees the answer.

A server that closes a connection while the client still sends resets it, and most clients then lose
the response. So the response is sent whole except for its end, and what still comes is read and
dropped for a while (nginx calls it lingering close).
"""

import asyncio
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LINGER_SECONDS: Final = 5.0
LINGER_BYTES: Final = 8 * 1024 * 1024


class Lingering:
    """An ASGI application before another."""

    def __init__(self, app: ASGIApp, seconds: float = LINGER_SECONDS) -> None:
        self._app = app
        self._seconds = seconds

    # Not a coroutine: an open stream would keep it in memory.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        headers = dict(scope["headers"])
        has_body = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
        # HTTP/2 can end a request without its connection.
        if not has_body or not scope["http_version"].startswith("1."):
            return self._app(scope, receive, send)
        closes = scope["http_version"] == "1.0" or _closes(headers) or _is_long(headers)
        return self._serve(scope, receive, send, closes=closes)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, *, closes: bool) -> None:
        more_body, lingers = True, False

        async def take() -> Message:
            nonlocal more_body
            message = await receive()
            more_body = bool(message.get("more_body"))  # http.disconnect has none
            return message

        async def answer(message: Message) -> None:
            nonlocal closes, lingers
            if message["type"] == "http.response.start" and more_body:
                given = list(message.get("headers", ()))
                if _closes(dict(given)):
                    closes = True
                elif closes:
                    message = {**message, "headers": [*given, (b"connection", b"close")]}
            elif more_body and closes and not message.get("more_body"):
                lingers = True
                message = {**message, "more_body": True}
            await send(message)

        await self._app(scope, take, answer)
        if lingers:
            # The application has returned, so nothing of it is kept meanwhile.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    dropped = 0
                    while more_body and dropped <= LINGER_BYTES:
                        dropped += len((await take()).get("body", b""))
            await send({"type": "http.response.body"})


def _closes(headers: Mapping[bytes, bytes]) -> bool:
    return b"close" in headers.get(b"connection", b"").lower()


def _is_long(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the body is, or may be, longer than what is read of it after the response. Of a
    shorter one, the server reads the rest, and the connection goes on."""
    length = headers.get(b"content-length", b"").lstrip(b"0")
    # int() refuses 4,300 digits.
    return b"transfer-encoding" in headers or int(length[:19] or b"0") > LINGER_BYTES
