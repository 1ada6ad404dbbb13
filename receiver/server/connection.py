"""A client's connection: uvicorn's, with the limits that it lacks.

uvicorn waits for a request's head as long as it takes, and collects heads, trailers and pipelined
requests without limit. Here, whatever exceeds a limit or is no HTTP ends the connection.
"""

import asyncio
import json
from collections.abc import Callable
from secrets import token_hex
from typing import Final, cast

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from receiver.server.problem import problem
from receiver.server.request_parser import RequestParser

HEAD_SECONDS: Final = 15.0
"""Time limit for a whole head, from the connection's beginning or the first byte after a response;
so also for the rest of a body that was refused."""
HEAD_BYTES: Final = 64 * 1024
"""Bytes that may come without the end of a head, or any content of a body. (The application has a
lower limit for a head.)"""
HEADERS: Final = 128
"""Headers of a request. (The application has a lower limit.)"""
PIPELINED: Final = 8
"""Requests that may wait for the response to the one before."""
CONNECTION: Final = "receiver.connection"
"""The scope extension that holds the connection itself (see `GuardedConnection`)."""


class GuardedConnection(HttpToolsProtocol):
    """Long responses can bypass ASGI with `push` and `when_lost`. ASGI's `send` takes two
    coroutines and a message for a chunk, and its `receive` takes a task to notice a disconnect."""

    # Slots, because instances with more than thirty attributes do not share dictionary keys, which
    # costs more than 1 KiB per connection.
    __slots__ = (
        "_in_head",
        "_most",
        "_on_lost",
        "_without_progress",
        "head_awaited_since",
    )

    def __init__(self, config: Config, state: ServerState, most: int) -> None:
        """`most` connections may be open."""
        super().__init__(config, state, app_state={})
        self._most = most
        self.parser = RequestParser(self)
        self.head_awaited_since: float | None = self.loop.time()
        """Loop time since which `HEAD_SECONDS` run; None if they do not."""
        self._in_head = False
        self._without_progress = 0
        """Bytes, as in `HEAD_BYTES`."""
        self._on_lost: Callable[[], None] | None = None

    # uvicorn narrows the type too: a server's transport reads and writes.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._most:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(None)  # for an error, uvicorn would keep its timer, and so the rest
        if self._on_lost is not None:
            self._on_lost()

    def when_lost(self, call: Callable[[], None]) -> None:
        """Call `call` once the connection is lost, or now if it is. Replaces an earlier one."""
        if self not in self.connections:
            call()
        self._on_lost = call

    def push(self, chunk: bytes) -> bool:
        """Write a chunk, with its size line (RFC 9112, 7.1), of the current response, which must be
        chunked. Returns False, and writes nothing, while the write buffer is full. If the
        connection is closing, drops the chunk."""
        if self.flow.write_paused:
            return False
        if not self.transport.is_closing():
            self.transport.write(chunk)
        return True

    def data_received(self, data: bytes) -> None:
        if self.head_awaited_since is None and not self._is_answering():
            self.head_awaited_since = self.loop.time()
        self._without_progress += len(data)
        super().data_received(data)
        if self._without_progress > HEAD_BYTES:
            self._refuse_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        # The type says that extensions are dictionaries; ASGI leaves that to the server.
        self.scope["extensions"] = {CONNECTION: self}  # type: ignore[dict-item]
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) == HEADERS:
            self._refuse_head()
            raise ValueError("too many headers")  # ends the parsing
        if self._in_head:  # what comes later are trailers, which are no headers of the request
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.parser.get_method() == b"CONNECT" or len(self.pipeline) == PIPELINED:
            raise ValueError("not served")  # uvicorn calls `send_400_response`
        if not self.parser.should_upgrade():  # see `RequestParser`
            self._in_head = False
            self._without_progress = 0
            self.head_awaited_since = None
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._without_progress = 0
        if self.cycle.response_complete and not self.flow.read_paused:
            # This rest is dropped, one read per iteration: libuv reads up to 48 times from more
            # than a thousand fast clients before it lets anything else run.
            self.flow.pause_reading()
            self.loop.call_soon(self.flow.resume_reading)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            self._without_progress = 0
            super().on_message_complete()

    def on_response_complete(self) -> None:
        if self.cycle.response_complete:  # it is the last request received
            self.cycle.body.clear()  # what the application has not read of it
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "malformed_request", msg)

    def _is_answering(self) -> bool:
        # uvicorn's type hides that there is none before the first request.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _refuse_head(self) -> None:
        self._refuse(431, "head_too_large", "The head or the trailers are too large.")

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Close the connection. The client is told why, unless it awaits the response to a request
        that it has sent whole."""
        if self.transport.is_closing():
            return
        if self._is_answering() and (
            self.cycle.response_started or not self.cycle.more_body or self.pipeline
        ):
            self.transport.abort()
        else:
            self.transport.write(_refusal(status, code, detail))
            self.transport.close()


def _refusal(status: int, code: str, detail: str) -> bytes:
    content = json.dumps(problem(status, code, detail), separators=(",", ":")).encode()
    return b"%sx-request-id: %s\r\nconnection: close\r\ncontent-type: %s\r\n%s" % (
        STATUS_LINE[status],
        token_hex(8).encode(),
        b"application/problem+json",
        b"content-length: %d\r\n\r\n%s" % (len(content), content),
    )
