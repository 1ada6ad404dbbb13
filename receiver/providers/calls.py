"""HTTP calls to a provider. A failure says whether any byte of the request may have been sent.

A submission that was certainly not sent is retried, and if that is wrong, the user pays twice. So
what counts is how far the HTTP client got, not the class of an exception.
"""

import asyncio
import json
import re
import ssl
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import httpx

from receiver.http_client.connection import Connection, connect, default_tls
from receiver.http_client.resolver import IPAddress, NoAddress, Resolver
from receiver.http_client.response import BadAnswer, Response
from receiver.json_text import UnreadableJson, decode, parse_answer

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""The body of a longer answer is ignored. Some contain inputs, logs and whole results."""
ADDRESSES_SECONDS = 30.0
"""How long the addresses of the host's name are used. All calls share one lookup, which may wait
for seconds for a dead name server or a lost packet."""
KEPT_CONNECTIONS = 16
"""Maximum number of idle connections kept for GETs: status calls, look-ups, requests for keys."""
KEPT_SECONDS = 30.0
"""How long they are kept. Firewalls silently drop idle connections, and a call on a dropped one
gets no answer."""

LARGE = 64 * 1024
"""Longer answers are parsed in a thread: they could block the event loop for seconds."""

_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")  # RFC 6838, 4.2
_TOO_LONG = "is too long"
_NO_OBJECT = "is not a JSON object"
_BROKE_OFF = "broke off: "

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer, and as much of its body as could be read."""

    status_code: int
    retry_after: str | None
    flaw: str
    """What is wrong with a body that is not a JSON object, for "an answer that …"."""
    value: Any
    """The JSON value, not cleaned."""
    content: bytes | None
    """The whole body if it is not JSON."""
    media_type: str
    """Of the body, in lower case; empty if none, or no valid one, is given."""
    size: int
    """Bytes of the body."""

    async def read(self, reader: Callable[[Any], T]) -> T:
        """Apply `reader` to the JSON value, in a thread if the body is large."""
        return await _in_thread_if_large(self.size, reader, self.value)

    @property
    def body(self) -> Mapping[str, Any] | None:
        """The JSON object, if it is one."""
        return self.value if isinstance(self.value, dict) else None

    @property
    def text(self) -> str | None:
        """The whole body if it is not JSON."""
        return None if self.content is None else decode(self.content)

    @property
    def is_json(self) -> bool:
        """Whether the body is JSON, so that `value` is valid."""
        return self.flaw in ("", _NO_OBJECT)

    @property
    def broke_off(self) -> bool:
        """Whether the connection broke, or the time ran out, before the body had ended."""
        return self.flaw.startswith(_BROKE_OFF)


class NoAnswer(Exception):
    """No whole head of an answer was received. The message says why, and never quotes the
    request."""

    def __init__(self, reason: str, *, may_have_arrived: bool) -> None:
        super().__init__(reason)
        self.may_have_arrived = may_have_arrived
        """Whether any byte of the request may have been sent."""


class _ConnectionBroke(NoAnswer):
    """If the connection was a kept one, the server may have closed it before the request."""


_Request: TypeAlias = tuple[str, str, Sequence[tuple[str, str]], bytes]
"""What `Connection.request` takes."""


class HttpClient:
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
        # Its own, so that a provider whose name cannot be resolved does not delay the others.
        self._resolver = Resolver(timeout=connect_timeout, slots=1)
        self._addresses: Sequence[IPAddress] = ()
        self._look_up_at = 0.0
        """Loop time at which the addresses are looked up again."""
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
        until = asyncio.get_running_loop().time() + timeout
        content = b""
        if body is not None:
            # Not in a thread: the encoder never releases the GIL. Non-ASCII characters are escaped,
            # so any text can be encoded.
            content = json.dumps(body, allow_nan=False, separators=(",", ":")).encode("ascii")
        with closing(await self._connect(until)) as connection:
            return await self._exchange(connection, self._request(method, path, content), until)

    async def ask(self, path: str, timeout: float) -> Answer:
        """GET, on a kept connection if there is one. Raises NoAnswer."""
        until = asyncio.get_running_loop().time() + timeout
        while (kept := self._take_kept_connection()) is not None:
            with suppress(_ConnectionBroke):  # a GET can safely be repeated
                return await self._ask_on(kept, path, until)
        return await self._ask_on(await self._connect(until), path, until)

    def close(self) -> None:
        for connection, _ in self._idle:
            connection.close()
        self._idle.clear()

    def _take_kept_connection(self) -> Connection | None:
        """Take the connection that was used last; if even that one is too old, close them all."""
        if self._idle and self._idle[-1][1] < asyncio.get_running_loop().time():
            self.close()
        return self._idle.pop()[0] if self._idle else None

    async def _ask_on(self, connection: Connection, path: str, until: float) -> Answer:
        try:
            return await self._exchange(connection, self._request("GET", path), until)
        finally:
            if connection.is_reusable and len(self._idle) < KEPT_CONNECTIONS:
                kept_until = asyncio.get_running_loop().time() + KEPT_SECONDS
                self._idle.append((connection, kept_until))
            else:
                connection.close()

    async def _exchange(self, connection: Connection, request: _Request, until: float) -> Answer:
        """Send the request and read the answer by the loop time `until`. Raises NoAnswer.

        Once the head has been received there is an answer, even if its body breaks off.
        """
        response: Response | None = None
        raw, flaw = bytearray(), ""
        try:
            async with asyncio.timeout_at(until):
                response = await connection.request(*request)
                while piece := await connection.read():
                    raw += piece
                    if len(raw) > MAX_ANSWER_BYTES:
                        flaw = _TOO_LONG
                        break
        except Exception as error:  # in any case, the request may have arrived
            # Errors other than a timeout may quote the request.
            late = isinstance(error, TimeoutError)
            reason = (
                "no answer in time" if late else f"the connection broke ({type(error).__name__})"
            )
            if response is None:
                broke = isinstance(error, ConnectionError | BadAnswer)
                kind = _ConnectionBroke if broke else NoAnswer
                raise kind(reason, may_have_arrived=True) from error
            flaw = f"{_BROKE_OFF}{reason}"
        if not flaw and (response.header("content-encoding") or "identity").lower() != "identity":
            raw, flaw = await asyncio.to_thread(_decompressed, raw)
        retry_after = response.header("retry-after") or None
        media_type = _read_media_type(response.header("content-type") or "")
        return await _in_thread_if_large(
            len(raw), read_answer, response.status, retry_after, raw, flaw, media_type
        )

    async def _connect(self, until: float) -> Connection:
        """A new connection. Raises NoAnswer."""
        loop = asyncio.get_running_loop()
        seconds = min(until - loop.time(), self._connect_timeout)
        try:
            async with asyncio.timeout(seconds):
                connection = await connect(await self._resolve(), self._port, seconds)
                if self._tls is not None:
                    await connection.start_tls(self._tls, self._host)
                return connection
        except (NoAddress, OSError, UnicodeError) as error:
            # UnicodeError is for a name that cannot be encoded.
            self._look_up_at = 0.0
            late = isinstance(error, TimeoutError)
            reason = "connecting took too long" if late else f"could not connect: {error}"
            raise NoAnswer(reason, may_have_arrived=False) from error

    async def _resolve(self) -> Sequence[IPAddress]:
        """The host's IP addresses; at least one. Raises NoAddress."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._look_up_at:
            self._addresses = await self._resolver.resolve(self._host)
            self._look_up_at = loop.time() + ADDRESSES_SECONDS
        return self._addresses

    def _request(self, method: str, path: str, content: bytes = b"") -> _Request:
        headers = self._headers.copy()
        if content:
            headers.append(("Content-Type", "application/json"))
        return method, path if path.startswith("/") else self._path + path, headers, content


def read_answer(
    status_code: int, retry_after: str | None, raw: bytearray, flaw: str, media_type: str = ""
) -> Answer:
    """The answer with this body, which is parsed unless it has a flaw already."""
    value: Any = None
    content: bytes | None = None
    if not flaw:
        try:
            value = parse_answer(decode(raw))
        except UnreadableJson:
            flaw, content = "is not JSON", bytes(raw)
        else:
            flaw = "" if isinstance(value, dict) else _NO_OBJECT
    return Answer(status_code, retry_after, flaw, value, content, media_type, len(raw))


def _read_media_type(given: str) -> str:
    media_type = given.partition(";")[0].strip().lower()
    return media_type if _MEDIA_TYPE.fullmatch(media_type) else ""


async def _in_thread_if_large(size: int, work: Callable[..., T], *given: Any) -> T:
    """Run `work` and return its result; in a thread if `size` exceeds `LARGE`."""
    return await asyncio.to_thread(work, *given) if size > LARGE else work(*given)


def _decompressed(raw: bytearray) -> tuple[bytearray, str]:
    """The content of an answer that is compressed although we did not ask for it, and its flaw."""
    try:
        content = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(raw, MAX_ANSWER_BYTES + 1)
    except zlib.error:
        return bytearray(), "has a content encoding that cannot be read"
    return bytearray(content), _TOO_LONG if len(content) > MAX_ANSWER_BYTES else ""
