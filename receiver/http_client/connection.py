"""A connection to a server: sends requests and receives their responses."""

import asyncio
import re
import ssl
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import zip_longest
from typing import cast

import certifi

from receiver.http_client.resolver import IPAddress
from receiver.http_client.response import AnswerTooLong, Response

MAX_UNREAD = 128 * 1024
"""Approximate number of body bytes that are buffered. Then reading from the server pauses until
they are consumed."""

MAX_ADDRESSES = 4
"""Maximum number of a name's addresses that are tried."""

_INVALID = re.compile(r"[\r\n\0]")
"""Characters that a line of a request's head must not have."""


class Connection(asyncio.Protocol):
    """A connection for requests one after another. Close it with `close`."""

    _transport: asyncio.Transport

    def __init__(self, longest: int = sys.maxsize) -> None:
        """`longest` is the maximum number of bytes read in all."""
        self._left = longest
        self._response: Response | None = None
        """The current response; between two requests, the last one."""
        self._arrived = asyncio.Event()
        """Set when more of it has arrived, or it has ended."""

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Encrypt the connection, and check that the certificate is `host`'s. Raises `OSError`,
        such as `ssl.SSLError`; the connection is then closed."""
        loop = asyncio.get_running_loop()
        try:
            self._check_open()
            upgraded = await loop.start_tls(self._transport, self, context, server_hostname=host)
            self._transport = cast(asyncio.Transport, upgraded)
            # If the server closes before the handshake, uvloop reports no error.
            self._check_open()
        except BaseException:
            self.close()
            raise

    async def request(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]],
        content: bytes = b"",
    ) -> Response:
        """Send a request, and wait for the head of the answer. Unless this raises `ValueError`, any
        byte may have arrived.

        Args:
            target: path and query, ASCII without spaces.
            headers: `Host` among them; `Content-Length` is added if the method is not GET.

        Raises:
            ValueError: the target or a header has invalid characters; nothing was sent.
            BadAnswer, AnswerTooLong: the answer's head is invalid, incomplete or too long.
            OSError: the connection was lost, or was closed before.
        """
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
        if method != "GET":
            lines.append(f"Content-Length: {len(content)}")
        if " " in target or any(map(_INVALID.search, lines)):
            raise ValueError("the request has characters that are invalid in its head")
        head = "\r\n".join([*lines, "", ""]).encode("ascii")
        self._check_open()
        response = self._response = Response()
        self._transport.write(head + content)
        while not response.status:
            await self._receive(response)
        return response

    async def read(self) -> bytes:
        """The next piece of the current response's body, of any size; empty when it is complete.

        Raises:
            BadAnswer, AnswerTooLong: it will never be complete.
            OSError: the connection was lost.
        """
        response = self._response
        assert response is not None, "there is no response before a request"
        while not response.body and not response.is_complete:
            await self._receive(response)
        piece = bytes(response.body)
        response.body.clear()
        self._transport.resume_reading()  # does nothing unless it is paused
        return piece

    @property
    def is_reusable(self) -> bool:
        """Whether another request may be sent: the last response was read to its end, and the
        server keeps the connection open."""
        response = self._response
        is_read = response is not None and response.keeps_alive and not response.body
        return is_read and not self._transport.is_closing()

    def close(self) -> None:
        """Close it at once: the caller has what it wanted, and a TLS shutdown could hang."""
        self._transport.abort()

    def _check_open(self) -> None:
        if self._transport.is_closing():
            raise ConnectionResetError("the connection was closed")

    async def _receive(self, response: Response) -> None:
        """Wait until more of this response has arrived. Raises its failure."""
        if response.failure is not None:
            raise response.failure
        self._arrived.clear()
        await self._arrived.wait()

    # --- called by asyncio ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        response = self._response
        if response is None or response.is_complete:
            self.close()  # else it would be taken for the answer to the next request
            return
        response.feed(data[: self._left])
        self._left -= len(data)
        if self._left < 0:
            response.fail(AnswerTooLong("it has more bytes than the limit"))
            self.close()
        if len(response.body) > MAX_UNREAD:
            self._transport.pause_reading()
        self._arrived.set()

    def eof_received(self) -> None:
        self.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._response is None:
            return
        if exc is None:
            self._response.end()
        else:
            self._response.fail(exc)
        self._arrived.set()


async def connect(
    addresses: Sequence[IPAddress], port: int, timeout: float, *, longest: int = sys.maxsize
) -> Connection:
    """Connect to the first of the addresses that answers.

    Args:
        addresses: at least one; no more than `MAX_ADDRESSES` are tried, IPv4 and IPv6 in turn.
        timeout: in seconds. Each address has its share, so that an unresponsive one leaves time for
            the next.
        longest: as for `Connection`.

    Raises:
        OSError: no address could be connected to. It is the last one's error: a `TimeoutError` if
            that one did not answer in time.
    """
    tried = _alternating(addresses)[:MAX_ADDRESSES]
    loop, failure = asyncio.get_running_loop(), OSError("no address")
    for address in tried:
        try:
            async with asyncio.timeout(timeout / len(tried)):
                _, made = await loop.create_connection(
                    lambda: Connection(longest), str(address), port
                )
            return made
        except OSError as error:
            failure = error
    raise failure


def _alternating(addresses: Sequence[IPAddress]) -> Sequence[IPAddress]:
    """The addresses with the families in turn (RFC 8305, 4): one family may have no route."""
    same = [each for each in addresses if each.version == addresses[0].version]
    other = [each for each in addresses if each.version != addresses[0].version]
    return [each for pair in zip_longest(same, other) for each in pair if each is not None]


@cache
def default_tls() -> ssl.SSLContext:
    """Trust the certificate authorities of the system and of certifi; reading them takes 20 ms."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    context.load_verify_locations(certifi.where())
    return context
