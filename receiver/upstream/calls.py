"""HTTP calls to a provider. A failure says whether any byte of the request may have been sent.

A submission that was certainly not sent is retried, and if that is wrong, the user pays twice. So
what counts is whether anything was written, not the class of an exception.
"""

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

import httpcore
import httpx

from receiver.json_text import UnreadableJson, decode, has_more_values, parse_answer
from receiver.large_bodies import LARGE
from receiver.net.backend import Backend
from receiver.net.resolver import Resolver
from receiver.net.transport import default_tls, open_transport

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""A longer body is ignored. Some contain inputs, logs and whole results."""
MAX_ANSWER_VALUES = 200_000
"""A body with more JSON values is ignored too. Users choose the models that answer, and a value of
two bytes, such as `[]`, takes 72 in memory."""
CONNECT_SECONDS = 10.0
"""Time limit for connecting, and again for TLS."""

_large_answers = ThreadPoolExecutor(1, "large answer")
"""Reads one large body at a time, so that the memory for their values does not add up. In the event
loop it could take seconds."""

# Markup or a JSON object at the beginning; control characters (binary data) anywhere.
_NOT_FOR_PEOPLE = re.compile(r"\A\s*[<{]|[\x00-\x08\x0e-\x1f]")

_JSON = {"Content-Type": "application/json"}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Response:
    """The head of a response, and as much of its body as could be read."""

    status_code: int
    headers: Mapping[str, str]
    """Names in any case."""
    value: Any = None
    """The JSON value, not cleaned."""
    is_json: bool = False
    """Whether the body is JSON, so that `value` is valid."""
    text: str | None = None
    """The whole body if it is plain text: no JSON, and no markup or binary data. The content
    decides, not the declared type: frameworks send plain text as `text/html`."""
    body_error: str = ""
    """What is wrong with a body that is not a JSON object, for "an answer that …"."""
    was_cut_off: bool = False
    """Whether the connection broke, or the time ran out, before the body had ended."""

    @property
    def body(self) -> Mapping[str, Any] | None:
        """The JSON object, if it is one."""
        return self.value if isinstance(self.value, dict) else None


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
        self,
        base_url: str,
        headers: Mapping[str, str],
        tls: ssl.SSLContext | None = None,
        new_headers: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """Does no I/O.

        Args:
            base_url: paths are appended to it, unless they begin with `/`. No call goes to another
                scheme, host or port, unless its path is a whole URL.
            headers: sent with every call; ASCII.
            tls: by default, see `default_tls`.
            new_headers: makes those that are different in every call.
        """
        self._base = httpx.URL(base_url)
        self._new_headers = new_headers
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
        self._kept = open_transport(self._backend, self._tls, keep=True)

    async def send_once(
        self,
        method: str,
        path: str,
        body: bytes | None,
        timeout: float,
        read: Callable[[Response], T],
        headers: Mapping[str, str] = {},
    ) -> T:
        """Send a request once, with a body (JSON, unless `headers` say otherwise) or none; returns
        what `read` makes of the response, in a thread if its body is large.

        It uses a new connection: if the server closed a kept one just as it is reused, the request
        would look as if it may have arrived. Raises NoAnswer.
        """
        request = self._request(method, path, body, {**headers, "Connection": "close"})
        backend = Backend(self._resolve)
        async with open_transport(backend, self._tls) as transport:
            return await _exchange(transport, backend, request, timeout, read)

    async def ask(
        self,
        path: str,
        timeout: float,
        read: Callable[[Response], T],
        *,
        method: str = "GET",
        body: bytes | None = None,
    ) -> T:
        """Send a request that changes nothing, on a kept connection if there is one; `read` as
        above. Raises NoAnswer."""
        request = self._request(method, path, body)
        return await _exchange(self._kept, self._backend, request, timeout, read)

    async def close(self) -> None:
        await self._kept.aclose()

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = {},
    ) -> httpx.Request:
        return httpx.Request(
            method,
            self._url(path),
            headers={
                **self._headers,
                **self._new_headers(),
                **({} if body is None else _JSON),
                **headers,
            },
            content=body,
            extensions={"timeout": {"connect": CONNECT_SECONDS}},
        )

    def _url(self, path: str) -> httpx.URL:
        if path.startswith(("http://", "https://")):
            return httpx.URL(path)
        target = path.encode("ascii")
        if not path.startswith("/"):
            target = self._base.raw_path + target
        return self._base.copy_with(raw_path=target)


async def _exchange(
    transport: httpx.AsyncBaseTransport,
    backend: Backend,
    request: httpx.Request,
    timeout: float,
    read: Callable[[Response], T],
) -> T:
    """Send the request and receive the response within `timeout` seconds. Raises NoAnswer.

    Once the head has been received there is a response, even if its body is cut off.
    """
    received: httpx.Response | None = None
    raw = bytearray()
    try:
        async with asyncio.timeout(timeout):
            received = await transport.handle_async_request(request)
            async with aclosing(received):
                async for piece in received.aiter_bytes():
                    raw += piece
                    if len(raw) > MAX_ANSWER_BYTES:
                        break
    except Exception as error:
        if received is None:
            raise NoAnswer(_reason(error), may_have_arrived=backend.has_written) from error
        why = f"was cut off: {_reason(error)}"
        return read(Response(*_head(received), body_error=why, was_cut_off=True))

    def work() -> T:
        return read(read_response(*_head(received), raw))

    if len(raw) <= LARGE:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_large_answers, work)


def _head(received: httpx.Response) -> tuple[int, Mapping[str, str]]:
    return received.status_code, received.headers


def _reason(error: Exception) -> str:
    """Why there is no whole answer, without quoting the request, as other errors may."""
    match error:
        case httpcore.ConnectError():
            return f"could not connect: {error}"
        case TimeoutError():
            return "no answer in time"
        case _:
            return f"the connection broke ({type(error).__name__})"


def read_response(status_code: int, headers: Mapping[str, str], raw: bytearray) -> Response:
    """The response with this body."""
    head = (status_code, headers)
    if len(raw) > MAX_ANSWER_BYTES or has_more_values(raw, MAX_ANSWER_VALUES):
        return Response(*head, body_error="is too long")
    text = decode(raw)
    try:
        value = parse_answer(text)
    except UnreadableJson:
        plain = None if _NOT_FOR_PEOPLE.search(text) else text
        return Response(*head, text=plain, body_error="is not JSON")
    error = "" if isinstance(value, dict) else "is not a JSON object"
    return Response(*head, value, is_json=True, body_error=error)
