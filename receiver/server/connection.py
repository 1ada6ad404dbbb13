"""A client's connection: uvicorn's, with the limits that it lacks.

uvicorn waits for a request's head as long as it takes, and collects heads, trailers and pipelined
requests without limit. Here, whatever exceeds a limit or is no HTTP ends the connection.
"""

import asyncio
import json
from itertools import islice
from secrets import token_hex
from typing import Final, cast

import httptools
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from receiver.server.problem import problem

HEAD_BYTES: Final = 32 * 1024
"""Bytes of a head, and bytes that may come without the end of a head, or any content of a body."""
PIPELINED: Final = 8
"""Requests that may wait for the response to the one before."""
AT_ONCE: Final = 16
"""How many connections are accepted in one iteration of the event loop, and how many read on in the
middle of a request."""


class RequestParser(httptools.HttpRequestParser):
    """Ignores `Upgrade` (RFC 9110, 7.8): Java's client, for one, offers h2c with every request.

    httptools takes everything after such a head for the other protocol, and then what follows for a
    new request. So the head is parsed a second time, without the offer and with what follows.
    """

    def __init__(self, connection: "GuardedConnection") -> None:
        super().__init__(connection)
        self.set_dangerous_leniencies(lenient_data_after_close=True)  # as in uvicorn's own
        self._connection = connection

    # The library takes other buffers too; uvicorn passes bytes.
    def feed_data(self, data: bytes) -> None:  # type: ignore[override]
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # By a new one, since this one takes nothing after a `Connection: close, Upgrade`.
            self._connection.parser = RequestParser(self._connection)
            rest = data[upgrade.args[0] :]
            self._connection.parser.feed_data(self._head_without_upgrade() + rest)

    def _head_without_upgrade(self) -> bytes:
        version = self.get_http_version().encode("ascii")
        lines = [b"%s %s HTTP/%s" % (self.get_method(), self._connection.url, version)]
        headers = self._connection.scope["headers"]
        lines += [b"%s: %s" % (name, value) for name, value in headers if name != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])


class Readers:
    """Connections that wait, in the middle of a request, for their turn to read on. They take turns
    because libuv reads from thousands of fast clients before it lets anything else run."""

    def __init__(self) -> None:
        self._waiting: dict[GuardedConnection, None] = {}
        """In order."""

    def add(self, connection: "GuardedConnection") -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._resume)
        self._waiting[connection] = None

    def _resume(self) -> None:
        for connection in list(islice(self._waiting, AT_ONCE)):
            del self._waiting[connection]
            if not connection.transport.is_closing():
                connection.transport.resume_reading()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._resume)


class GuardedConnection(HttpToolsProtocol):
    """One client's connection."""

    # Slots, because instances with more than thirty attributes do not share dictionary keys, which
    # costs more than 1 KiB per connection.
    __slots__ = ("_most", "_readers", "_without_progress", "head_awaited_since")

    def __init__(self, config: Config, state: ServerState, readers: Readers, most: int) -> None:
        """`most` connections may be open."""
        super().__init__(config, state, app_state={})
        self._readers = readers
        self._most = most
        self.parser = RequestParser(self)
        self.headers = []
        self.head_awaited_since: float | None = asyncio.get_running_loop().time()
        """Loop time since which `CLIENT_SECONDS` run; None if they do not."""
        self._without_progress = 0
        """Bytes, as in `HEAD_BYTES`."""

    # uvicorn narrows the type too: a server's transport reads and writes.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._most:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(None)  # for an error, uvicorn would keep its timer, and so the rest

    def data_received(self, data: bytes) -> None:
        if self.head_awaited_since is None and not self._is_answering():
            self.head_awaited_since = asyncio.get_running_loop().time()
        self._without_progress += len(data)
        super().data_received(data)
        self._check_size(self._without_progress)
        in_body = self._is_answering() and self.cycle.more_body
        is_reading = self.transport.is_reading() and not self.transport.is_closing()
        if (in_body or self.head_awaited_since is not None) and is_reading:
            self.transport.pause_reading()
            self._readers.add(self)

    def on_headers_complete(self) -> None:
        # With the punctuation of each line.
        self._check_size(len(self.url) + sum([4 + len(n) + len(v) for n, v in self.headers]))
        is_served = self.parser.get_method() != b"CONNECT" and len(self.pipeline) < PIPELINED
        if not is_served or self.transport.is_closing():
            raise ValueError("not served")  # uvicorn calls `send_400_response`
        super().on_headers_complete()
        self.headers = []  # of trailers, which are no headers of the request
        self._without_progress = 0
        self.head_awaited_since = None

    def _should_upgrade(self) -> bool:
        return True  # uvicorn then ignores the request, which comes again: see `RequestParser`

    def on_body(self, body: bytes) -> None:
        self._without_progress = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "malformed_request", msg)

    def _is_answering(self) -> bool:
        # uvicorn's type hides that there is none before the first request.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _check_size(self, size: int) -> None:
        if size > HEAD_BYTES:
            self._refuse(431, "head_too_large", "The head or the trailers are too large.")

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Close the connection. A response gives the reason first, unless the client awaits the
        response to a request that it has sent whole."""
        if self._is_answering() and (
            self.pipeline or not self.cycle.more_body or self.cycle.response_started
        ):
            self.transport.abort()
        elif not self.transport.is_closing():
            self.transport.write(_refusal(status, code, detail))
            self.transport.close()


def _refusal(status: int, code: str, detail: str) -> bytes:
    document = problem(status, code, detail)
    content = json.dumps(document, separators=(",", ":"))
    return (
        f"HTTP/1.1 {status} {document['title']}\r\nx-request-id: {token_hex(8)}\r\n"
        "connection: close\r\ncontent-type: application/problem+json\r\n"
        f"content-length: {len(content)}\r\n\r\n{content}"
    ).encode("ascii")
