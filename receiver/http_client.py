"""A small HTTP/1.1 client on asyncio and httptools. The caller opens the connections.

Why not httpx or httpcore: with them, the two or three calls of a job took a third of its time in
the event loop. And after a failed submission we must know whether any byte may have been sent,
which is clear if connecting and sending are separate calls.

It has no pool, redirects, proxies or timeouts: use `asyncio.timeout`. The methods HEAD and CONNECT,
whose answers are framed differently, are not supported.
"""

import asyncio
import re
import ssl
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from typing import cast

import certifi
import httptools

LONGEST_HEAD = 64 * 1024
"""Maximum number of bytes before an answer's body, interim answers included."""

MOST_UNREAD = 128 * 1024
"""Approximate number of body bytes that are buffered. Then reading from the server pauses until
they are consumed."""

ADDRESSES_TRIED = 4
"""Maximum number of a name's addresses that are tried."""

_INVALID = re.compile(r"[\r\n\0]")
"""Characters that a line of a request's head must not have."""


class BadAnswer(Exception):
    """The answer is not HTTP, or it ended before it was complete."""


class AnswerTooLong(Exception):
    """The answer has more bytes than the limit."""


class Response:
    """An answer. `Connection.request` returns it when its head has arrived; its body follows."""

    status: int = 0
    """Three digits, never 1xx."""

    def __init__(self, connection: "Connection") -> None:
        self.is_complete = False
        """Whether all of it has arrived."""
        self._connection = connection
        self._parser = httptools.HttpResponseParser(self)
        # RFC 9112, sections 2.2 and 5.2: a client accepts bare line feeds and folded lines. If we
        # refused such an answer, we would lose track of a submission that is paid for.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True
        )
        self._fields: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._body = bytearray()
        """Bytes that have arrived and were not read yet."""
        self._ends_with_connection = False
        self._keeps_alive = False
        self._failure: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def is_over(self) -> bool:
        """Whether it was read to its end, and the server keeps the connection open."""
        return self._keeps_alive and not self._body

    def header(self, name: str) -> str | None:
        """The first header with this name, which is given in lower case."""
        wanted = name.encode()
        found = (value for key, value in self._fields if key.lower() == wanted)
        value = next(found, None)
        # The parser leaves white space after the value (RFC 9110, section 5.5).
        return None if value is None else value.decode("latin-1").rstrip(" \t")

    async def read(self) -> bytes:
        """The next piece of the body, of any size; empty when the body is complete.

        Raises:
            BadAnswer, AnswerTooLong: it is not complete.
            OSError: the connection was lost.
        """
        while not self._body and not self.is_complete:
            await self._more()
        piece = bytes(self._body)
        self._body.clear()
        self._connection.resume_reading()
        return piece

    # --- for the connection -----------------------------------------------------------------------

    async def head(self) -> None:
        """Wait for the head. Raises as `read` does."""
        while not self.status:
            await self._more()

    def feed(self, data: bytes) -> None:
        """Parse what has arrived."""
        if not self.status:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._keeps_alive = False
            self.fail(BadAnswer("it is not HTTP"))
        if not self.status and self._head_bytes > LONGEST_HEAD:
            self.fail(AnswerTooLong(f"its head has more than {LONGEST_HEAD:,} bytes"))
        if len(self._body) > MOST_UNREAD:
            self._connection.pause_reading()
        self._wake()

    def end(self) -> None:
        """The server has closed the connection, or its side of it."""
        if self._ends_with_connection and self._failure is None:
            self.is_complete = True
            self._wake()
        else:
            self.fail(BadAnswer("it ended before it was complete"))

    def fail(self, error: Exception) -> None:
        """End the answer with an error, unless it is complete or has failed before."""
        if not self.is_complete and self._failure is None:
            self._failure = error
            self._wake()

    async def _more(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # --- for the parser; what follows a complete answer is ignored --------------------------------

    def on_message_begin(self) -> None:
        self._keeps_alive = False
        if not self.status:
            self._fields.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self.status or status < 200:
            return  # an interim answer: the real one follows
        coding = self.header("transfer-encoding")
        if coding is not None and coding.lower() != "chunked":
            self.fail(BadAnswer("it has an unknown transfer coding"))
            return
        self.status = status
        self._ends_with_connection = coding is None and self.header("content-length") is None

    def on_body(self, data: bytes) -> None:
        if not self.is_complete and self._failure is None:
            self._body += data

    def on_message_complete(self) -> None:
        if self.status and not self.is_complete and self._failure is None:
            self.is_complete = True
            self._keeps_alive = self._parser.should_keep_alive()


class Connection(asyncio.Protocol):
    """A connection for requests one after another. Close it with `close`."""

    _transport: asyncio.Transport

    def __init__(self, longest: int = sys.maxsize) -> None:
        """`longest` is the number of bytes that are read in all."""
        self._left = longest
        self._response: Response | None = None
        self._is_paused = False

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Encrypt the connection, and check that the certificate is `host`'s. Raises `OSError`,
        such as `ssl.SSLError`; the connection is then closed."""
        loop = asyncio.get_running_loop()
        try:
            upgraded = await loop.start_tls(self._transport, self, context, server_hostname=host)
        except BaseException:
            self.close()
            raise
        self._transport = cast(asyncio.Transport, upgraded)

    async def request(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]],
        content: bytes = b"",
    ) -> Response:
        """Send a request, and wait for the head of the answer. Once this is called, any byte may
        have arrived.

        Args:
            target: path and query, ASCII without spaces.
            headers: `Host` among them; `Content-Length` is added if the method is not GET.

        Raises:
            ValueError: the target or a header has invalid characters; nothing was sent.
            BadAnswer, AnswerTooLong: the answer's head is invalid, incomplete or too long.
            OSError: the connection was lost.
        """
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
        if method != "GET":
            lines.append(f"Content-Length: {len(content)}")
        if " " in target or any(map(_INVALID.search, lines)):
            raise ValueError("the request has characters that are invalid in its head")
        head = "\r\n".join([*lines, "", ""]).encode("ascii")
        if self._transport.is_closing():
            raise ConnectionResetError("the connection was closed")
        response = self._response = Response(self)
        self._transport.write(head + content)
        await response.head()
        return response

    @property
    def is_reusable(self) -> bool:
        """Whether another request may be sent."""
        answered = self._response is not None and self._response.is_over
        return answered and not self._transport.is_closing()

    def close(self) -> None:
        """Close it at once: the caller has what it wanted, and a TLS shutdown could hang."""
        self._transport.abort()

    # --- for the answer ---------------------------------------------------------------------------

    def pause_reading(self) -> None:
        """Stop reading from the server until `resume_reading`."""
        if not self._is_paused and not self._transport.is_closing():
            self._is_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Undo `pause_reading`."""
        if self._is_paused and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()

    # --- for asyncio ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._response is None or self._response.is_complete:
            self.close()  # it would be taken for the next answer
            return
        self._response.feed(data[: self._left])
        self._left -= len(data)
        if self._left < 0:
            self._response.fail(AnswerTooLong("it has more bytes than the limit"))
            self.close()

    def eof_received(self) -> None:
        if self._response is not None:
            self._response.end()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._response is None:
            return
        if exc is None:
            self._response.end()
        else:
            self._response.fail(exc)


async def connect(
    addresses: Sequence[str], port: int, timeout: float, *, longest: int = sys.maxsize
) -> Connection:
    """Connect to the first of the IP addresses that answers.

    Args:
        addresses: at least one; no more than `ADDRESSES_TRIED` are tried.
        timeout: in seconds. Each address has its share, so that an unresponsive one leaves time for
            the next.
        longest: as for `Connection`.

    Raises:
        OSError: no connection to the last one; a `TimeoutError` if it did not answer in time.
    """
    *others, last = addresses[:ADDRESSES_TRIED]
    share = timeout / (len(others) + 1)
    for address in others:
        with suppress(OSError):
            return await _connect(address, port, share, longest)
    return await _connect(last, port, share, longest)


async def _connect(address: str, port: int, timeout: float, longest: int) -> Connection:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout):
        _, connection = await loop.create_connection(lambda: Connection(longest), address, port)
    return connection


@cache
def default_tls() -> ssl.SSLContext:
    """Trusts the certificate authorities of the system and of certifi. Reading them takes 20 ms."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    context.load_verify_locations(certifi.where())
    return context
