"""HTTP calls to a provider. A failure says whether any byte of it may have been sent.

A submission that was surely not sent is retried, and if that is wrong, the user pays twice. So this
is decided by how far the HTTP client got, not by the class of an exception.
"""

import asyncio
import json
import socket
import ssl
import zlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import httpx

from receiver import tracing
from receiver.http_client import BadAnswer, Connection, Response, connect, default_tls
from receiver.json_text import UnreadableJson, decode, parse

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""The body of a longer answer is ignored. Some contain inputs, logs and whole results."""
KEPT_CONNECTIONS = 16
"""Maximum number of idle connections kept for status calls."""
KEPT_SECONDS = 30.0
"""How long they are kept. Firewalls silently drop idle connections, and a call on a dropped one
gets no answer."""

_TOO_LONG = "is too long"
_NO_OBJECT = "is not a JSON object"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status line, and as much of the rest as could be read."""

    status_code: int
    retry_after: str | None
    flaw: str
    """What is wrong with a body that is not a JSON object, for "an answer that …"."""
    value: Any
    """The JSON value, not cleaned."""
    text: str | None
    """The whole body if it is not JSON."""

    @property
    def body(self) -> Mapping[str, Any] | None:
        """The JSON object, if it is one."""
        return self.value if isinstance(self.value, dict) else None

    @property
    def is_json(self) -> bool:
        """Whether the body is JSON, so that `value` is valid."""
        return self.flaw in ("", _NO_OBJECT)


class NoAnswer(Exception):
    """No status line was received. The message says why, and quotes nothing of the request."""

    def __init__(self, reason: str, *, may_have_arrived: bool) -> None:
        super().__init__(reason)
        self.may_have_arrived = may_have_arrived
        """Whether any byte of the request may have been sent."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One request, and the time for it and its answer."""

    request: tuple[str, str, Sequence[tuple[str, str]], bytes]
    """What `Connection.request` takes."""
    seconds: float
    until: float
    """In loop time."""


class Calls:
    """An HTTP client for one provider. It keeps idle connections: close it."""

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        connect_timeout: float = 10.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Does no I/O.

        Args:
            base_url: paths are appended to it, unless they begin with `/`. No call goes to another
                scheme, host or port.
            headers: sent with every call; ASCII.
            connect_timeout: seconds for connecting, including TLS.
            tls: by default, see `default_tls`.
        """
        base = httpx.URL(base_url)
        self._base = base
        self._host = base.raw_host.decode("ascii")
        self._port = base.port or (443 if base.scheme == "https" else 80)
        self._path = base.raw_path.decode("ascii")
        self._headers = [
            ("Host", base.netloc.decode("ascii")),
            ("Accept", "application/json"),
            ("Accept-Encoding", "identity"),
            ("User-Agent", "receiver"),
            *headers.items(),
        ]
        self._connect_timeout = connect_timeout
        self._tls = (tls or default_tls()) if base.scheme == "https" else None
        self._idle: list[tuple[Connection, float]] = []
        """With the loop time until which each is kept, the earliest first."""

    async def send_once(
        self, method: str, path: str, body: Mapping[str, Any] | None, timeout: float
    ) -> Answer:
        """Send a request once, with a JSON body or none.

        It uses a new connection: if the server closed a kept one just as it is reused, the request
        would look as if it may have arrived. Raises NoAnswer.
        """
        # Non-ASCII characters are escaped, so any text can be encoded.
        content = b""
        if body is not None:
            content = json.dumps(body, allow_nan=False, separators=(",", ":")).encode("ascii")
        call = self._call(method, path, timeout, content)
        may_have_arrived = False
        try:
            with closing(await self._connect(call)) as connection:
                may_have_arrived = True
                return await self._exchange(connection, call)
        except Exception as error:  # in any case, the caller must know if it may have arrived
            reason = _in_words(error, timeout)
            raise NoAnswer(reason, may_have_arrived=may_have_arrived) from error

    async def ask(self, path: str, timeout: float) -> Answer:
        """GET, on a kept connection if there is one. Raises NoAnswer."""
        call = self._call("GET", path, timeout)
        try:
            while (kept := self._kept_connection()) is not None:
                try:
                    return await self._ask_on(kept, call)
                except (ConnectionError, BadAnswer):
                    continue  # the server has closed it; a GET can safely be repeated
            return await self._ask_on(await self._connect(call), call)
        except Exception as error:  # in any case, there is no answer
            raise NoAnswer(_in_words(error, timeout), may_have_arrived=True) from error

    def close(self) -> None:
        """Close the idle connections."""
        for connection, _ in self._idle:
            connection.close()
        self._idle.clear()

    def _kept_connection(self) -> Connection | None:
        """The connection that was used last, if it is not too old."""
        if self._idle and self._idle[-1][1] < asyncio.get_running_loop().time():
            self.close()
        return self._idle.pop()[0] if self._idle else None

    async def _ask_on(self, connection: Connection, call: _Call) -> Answer:
        try:
            return await self._exchange(connection, call)
        finally:
            if connection.is_reusable and len(self._idle) < KEPT_CONNECTIONS:
                kept_until = asyncio.get_running_loop().time() + KEPT_SECONDS
                self._idle.append((connection, kept_until))
            else:
                connection.close()

    async def _exchange(self, connection: Connection, call: _Call) -> Answer:
        """Send the request and read the answer within the limit.

        Once the status line has been received there is an answer, even if its body breaks off.

        Raises:
            Exception: no status line was received: as `Connection.request`, or TimeoutError.
        """
        response: Response | None = None
        raw, flaw = bytearray(), ""
        try:
            async with asyncio.timeout_at(call.until):
                response = await connection.request(*call.request)
                while piece := await connection.read():
                    raw += piece
                    if len(raw) > MAX_ANSWER_BYTES:
                        flaw = _TOO_LONG
                        break
        except Exception as error:  # once there is a status, any failure is a broken answer
            if response is None:
                raise
            flaw = f"broke off: {_in_words(error, call.seconds)}"
        if not flaw and response.header("content-encoding") not in (None, "identity"):
            raw, flaw = _decompressed(raw)
        return read_answer(response.status, response.header("retry-after") or None, raw, flaw)

    async def _connect(self, call: _Call) -> Connection:
        """A new connection. Raises `_NotConnected`."""
        loop = asyncio.get_running_loop()
        seconds = min(call.until - loop.time(), self._connect_timeout)
        try:
            async with asyncio.timeout(seconds):
                found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
                addresses = list(dict.fromkeys(str(where[0]) for *_, where in found))
                connection = await connect(addresses, self._port, seconds)
                if self._tls is not None:
                    await connection.start_tls(self._tls, self._host)
                return connection
        except TimeoutError as error:
            raise _NotConnected("connecting took too long") from error
        except OSError as error:
            raise _NotConnected(f"could not connect: {error}") from error

    def _call(self, method: str, path: str, timeout: float, content: bytes = b"") -> _Call:
        headers = [*self._headers, *_trace()]
        if content:
            headers.append(("Content-Type", "application/json"))
        target = path if path.startswith("/") else self._path + path
        until = asyncio.get_running_loop().time() + timeout
        return _Call((method, target, headers, content), timeout, until)


def read_answer(status_code: int, retry_after: str | None, raw: bytearray, flaw: str) -> Answer:
    """The answer with this body, which is read unless it has a flaw already."""
    value: Any = None
    text: str | None = None
    if not flaw:
        decoded = decode(raw)
        try:
            value = parse(decoded)
        except UnreadableJson:
            flaw, text = "is not JSON", decoded
        else:
            flaw = "" if isinstance(value, dict) else _NO_OBJECT
    return Answer(status_code, retry_after, flaw, value, text)


def _decompressed(raw: bytearray) -> tuple[bytearray, str]:
    """The content of an answer that is compressed although we did not ask for it, and its flaw."""
    try:
        content = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(raw, MAX_ANSWER_BYTES + 1)
    except zlib.error:
        return bytearray(), "has a content encoding that cannot be read"
    return bytearray(content), _TOO_LONG if len(content) > MAX_ANSWER_BYTES else ""


class _NotConnected(Exception):
    """No connection was made. The message says why."""


def _trace() -> list[tuple[str, str]]:
    """The header that lets the provider's trace join ours. It contains only two random numbers;
    `tracestate` is not sent, because it is meant for the user's own tracing vendors."""
    carried = tracing.outgoing_headers().get("traceparent")
    return [] if carried is None else [("traceparent", carried)]


def _in_words(error: Exception, timeout: float) -> str:
    match error:
        case _NotConnected():
            return str(error)
        case TimeoutError():
            return f"no answer within {timeout:g} s"
        case _:
            # The text of other errors may quote the request.
            return f"the connection broke ({type(error).__name__})"
