"""HTTP calls to a provider. A failure says whether any byte of the request may have been sent.

A submission that was certainly not sent is retried, and if that is wrong, the user pays twice. So
what counts is whether anything was written, not the class of an exception.
"""

import asyncio
import json
import re
import ssl
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

import httpcore
import httpx

from receiver.json_text import UnreadableJson, decode, parse_answer
from receiver.net.backend import Backend
from receiver.net.resolver import Resolver
from receiver.net.transport import default_tls, open_transport

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""The body of a longer answer is ignored. Some contain inputs, logs and whole results."""
CONNECT_SECONDS = 10.0
"""Time limit for connecting, and again for TLS."""
KEPT_CONNECTIONS = 16
"""Maximum number of idle connections kept for GETs: status calls, requests for keys."""

LARGE = 64 * 1024
"""Longer answers are parsed in a thread: they could block the event loop for seconds."""

_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")  # RFC 6838, 4.2
_TOO_LONG = "is too long"
_NO_OBJECT = "is not a JSON object"
_UNREADABLE = "has a content encoding that cannot be read"
_BROKE_OFF = "broke off: "
_CODINGS = frozenset({"", "identity", "gzip", "deflate"})
"""The content encodings that are read. None is asked for, but some gateways compress anyway."""

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


class HttpClient:
    """An HTTP client for one provider. It keeps idle connections: close it."""

    def __init__(
        self, base_url: str, headers: Mapping[str, str], tls: ssl.SSLContext | None = None
    ) -> None:
        """Does no I/O.

        Args:
            base_url: paths are appended to it, unless they begin with `/`. No call goes to another
                scheme, host or port.
            headers: sent with every call; ASCII.
            tls: by default, see `default_tls`.
        """
        self._base = httpx.URL(base_url)
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "receiver",
            **headers,
        }
        # Its own, so that a provider whose name cannot be resolved does not delay the others.
        self._resolve = Resolver().resolve
        self._tls = tls or default_tls()
        self._backend = Backend(self._resolve)
        self._kept = open_transport(self._backend, self._tls, kept=KEPT_CONNECTIONS)

    async def send_once(
        self, method: str, path: str, body: Mapping[str, Any] | None, timeout: float
    ) -> Answer:
        """Send a request once, with a JSON body or none.

        It uses a new connection: if the server closed a kept one just as it is reused, the request
        would look as if it may have arrived. Raises NoAnswer.
        """
        content = b""
        if body is not None:
            # Not in a thread: the encoder never releases the GIL. Non-ASCII characters are escaped,
            # so any text can be encoded.
            content = json.dumps(body, allow_nan=False, separators=(",", ":")).encode("ascii")
        request = self._request(method, path, content)
        request.headers["Connection"] = "close"
        backend = Backend(self._resolve)
        async with open_transport(backend, self._tls) as transport:
            return await _exchange(transport, backend, request, timeout)

    async def ask(self, path: str, timeout: float) -> Answer:
        """GET, on a kept connection if there is one. Raises NoAnswer."""
        return await _exchange(self._kept, self._backend, self._request("GET", path), timeout)

    async def close(self) -> None:
        await self._kept.aclose()

    def _request(self, method: str, path: str, content: bytes = b"") -> httpx.Request:
        target = path.encode("ascii")
        if not path.startswith("/"):
            target = self._base.raw_path + target
        headers = self._headers.copy()
        if content:
            headers["Content-Type"] = "application/json"
        return httpx.Request(
            method,
            self._base.copy_with(raw_path=target),
            headers=headers,
            content=content,
            extensions={"timeout": {"connect": CONNECT_SECONDS}},
        )


async def _exchange(
    transport: httpx.AsyncBaseTransport, backend: Backend, request: httpx.Request, timeout: float
) -> Answer:
    """Send the request and read the answer within `timeout` seconds. Raises NoAnswer.

    Once the head has been received there is an answer, even if its body breaks off.
    """
    response: httpx.Response | None = None
    raw, flaw = bytearray(), ""
    try:
        async with asyncio.timeout(timeout):
            response = await transport.handle_async_request(request)
            async with aclosing(response):
                async for piece in response.aiter_bytes():
                    raw += piece
                    if len(raw) > MAX_ANSWER_BYTES:
                        flaw = _TOO_LONG
                        break
    except Exception as error:
        if response is None:
            raise NoAnswer(_reason(error), may_have_arrived=backend.has_written) from error
        flaw = f"{_BROKE_OFF}{_reason(error)}"
        if isinstance(error, httpx.DecodingError):
            flaw = _UNREADABLE
    if response.headers.get("content-encoding", "").lower() not in _CODINGS:
        flaw = _UNREADABLE  # httpx has left it as it came
    retry_after = response.headers.get("retry-after") or None
    media_type = _read_media_type(response.headers.get("content-type", ""))
    return await _in_thread_if_large(
        len(raw), read_answer, response.status_code, retry_after, raw, flaw, media_type
    )


def _reason(error: Exception) -> str:
    """Why there is no whole answer, without quoting the request, as other errors may."""
    match error:
        case httpcore.ConnectError():
            return f"could not connect: {error}"
        case httpcore.ConnectTimeout():
            return "connecting took too long"
        case TimeoutError():
            return "no answer in time"
        case _:
            return f"the connection broke ({type(error).__name__})"


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
