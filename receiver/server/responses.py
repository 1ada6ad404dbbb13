"""Responses on a connection: the application's, and the server's own errors in the same shape."""

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus
from secrets import token_hex
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

# A status that we pass on from a provider is not always one of these.
_TITLES: Final = {status.value: status.phrase for status in HTTPStatus}
_CONTINUE: Final = b"HTTP/1.1 100 "
"""An interim response, which is written at once."""


class ResponseWriter:
    """Writes the responses of a connection.

    The head is kept until the first part of the body and written together with it: each write is a
    system call and wakes the client.
    """

    __slots__ = ("_close", "_head", "_transport")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        """`close` is called after the last response."""
        self._transport = transport
        self._close = close
        self._head: bytes | None = None
        """The head that waits for the body; empty once it is written, None before it comes."""

    def write(self, data: bytes) -> None:
        if self._head is None and not data.startswith(_CONTINUE):
            self._head = data
            return
        if self._head:
            data = self._head + data
            self._head = b""
        self._transport.write(data)

    def end(self) -> None:
        """End the response; without a body, the head is written now."""
        if self._head:
            self._transport.write(self._head)
        self._head = None

    def close(self) -> None:
        self.end()
        self._close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


def problem(status: int, code: str, detail: str) -> dict[str, Any]:
    """The body of an error response (RFC 9457), with `message` for clients of the provider's
    API."""
    return {
        "type": "about:blank",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "message": detail,
        "code": code,
    }


def error_response(status: int, code: str, detail: str, headers: bytes) -> bytes:
    """A whole error response. `headers` end with a line end."""
    content = json.dumps(problem(status, code, detail), separators=(",", ":")).encode()
    return (
        STATUS_LINE[status]
        + b"content-type: application/problem+json\r\n"
        + headers
        + b"content-length: %d\r\n\r\n" % len(content)
        + content
    )


def with_request_id(whole: bytes) -> bytes:
    """The response with an `X-Request-ID`, which every response carries."""
    status, _, rest = whole.partition(b"\r\n")
    return b"%s\r\nx-request-id: %s\r\n%s" % (status, token_hex(8).encode(), rest)


def overloaded(method: bytes) -> bytes:
    """The whole response to a request that is shed."""
    whole = with_request_id(_OVERLOADED)
    if method == b"HEAD":  # then a client takes a body for the beginning of the next response
        return whole[: whole.index(b"\r\n\r\n") + 4]
    return whole


_OVERLOADED: Final = error_response(
    503,
    "overloaded",
    "The service is overloaded. Nothing was done; please retry.",
    b"retry-after: 2\r\n",
)
