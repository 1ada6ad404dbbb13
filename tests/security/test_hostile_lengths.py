"""A long text cannot stop the service: the time to read it grows linearly with its length.

Texts from outside are repetitions that once took quadratic time, or could. The bound on the
measured time is wide: it takes a quadratic reader seconds.
"""

import json
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from io import StringIO
from typing import Literal

import pytest
import structlog

from receiver.http_api.sessions import COOKIE
from receiver.json_text import decode, parse
from receiver.net.retry_after import read_retry_after
from receiver.providers.samsar import upstream as samsar
from receiver.telemetry import logs
from receiver.upstream import parsing
from receiver.upstream.calls import read_response
from tests.http_api.raw_http import raw_connection, request_bytes
from tests.support.service import JOB, RunningService

LONG = 64 * 1024
MAX_SECONDS = 0.1
"""Of the event loop, for a text that is as long as a whole request. The contract allows half of it,
and here the machine is busy, and a request's time includes our sending."""

_WITHOUT_SPACES = r"""
    / \ %2f % %0 a@ :// ' " [ { ( 1 a é , ; = & : . - 0. 1: a. a=b, &a= \u \" \0 ${ < http://
    postgres:// postgres://a: http://a: https://a.b/ cookie: authorization password=' 'password=
    ticket= /webhooks/ //webhooks// /webhooks/a/ webhooks%2f job_ rk_ whsec_ wait= 1e308, W/"1",
"""
REPEATED = [
    *_WITHOUT_SPACES.split(),
    *(" ", "\t", "\n", "\r\n", "\x00", "\ud800", "\ufffd", "\u2028", " \\", "a ", " ,"),
    *("cookie : ", "api-key' ,", "bearer ", "bearer\t", "Mon, "),
]


def report(text: str) -> None:
    names = ("status", "message", "videoUrl", "url", "request_id", "error")
    result = {"videoUrl": f"http://{text}", "result_urls": [text]}
    samsar.read_report(dict.fromkeys(names, text) | {"result": result})


def provider_json(raw: bytes) -> None:
    parsing.clean(parse(decode(raw)))


def log_line(text: str) -> None:
    structlog.get_logger().info("an event", at=[{text: text}], exception=text)


READERS: dict[str, Callable[[str], object]] = {
    "a log line": log_line,
    "a provider's json": lambda text: provider_json(json.dumps([text]).encode()),
    "a provider's bytes": lambda text: provider_json(text.encode("utf-16", "replace")),
    "a provider's report": report,
    "a provider's plain text": lambda text: read_response(402, {}, bytearray(text, "utf-8")),
    "Retry-After": lambda text: read_retry_after(text, 0),
    "Retry-After, a date": lambda text: read_retry_after(f"Mon, 01 Jan 2024 {text}", 0),
}


@pytest.mark.parametrize("name", READERS)
async def test_a_reader_takes_as_long_as_its_text_is(name: str) -> None:
    async def read() -> None:
        with suppress(ValueError):
            READERS[name](text)

    with logging_to(StringIO(), "console"):  # for a terminal a line is scanned once more
        for part in REPEATED:
            text = part * (LONG // len(part))
            assert await least_seconds(read) < MAX_SECONDS, part


async def least_seconds(work: Callable[[], Awaitable[object]]) -> float:
    """The CPU seconds of this thread: the least of several, unless the first one is short. Other
    processes on this machine do not count."""
    least = float("inf")
    for _ in range(4):
        if least > MAX_SECONDS / 2:
            began = time.thread_time()
            await work()
            least = min(least, time.thread_time() - began)
    return least


# --- whole requests, of a running service ---------------------------------------------------------

LONGEST_REFUSAL = 8 * 1024
ROOM = 512
"""Bytes of a request of 64 KiB that remain for the rest of it."""
_HEADERS = """
    API-KEY Accept Authorization Connection Content-Encoding Content-Length Content-Type Cookie
    Expect Host If-None-Match Origin Sec-Fetch-Site Transfer-Encoding Upgrade X-Request-ID
"""
HEADER_BYTES = 32_000
"""The most that one header may have; a longer one is refused unread."""


def in_path(part: bytes, key: str) -> Iterator[bytes]:
    for begin in (b"", b"v1/jobs/", b"webhooks/samsar/", b"static/"):
        for size in (8_000, LONG - ROOM):
            yield b"GET /%s HTTP/1.1\r\n\r\n" % (begin + part * (size // len(part)))


QUERIES = """
    ? v1/jobs? v1/jobs?limit= v1/jobs?cursor= v1/jobs?metadata. v1/jobs?metadata.a=
    v1/jobs?created_after= v1/deliveries?state= v1/events?ticket= v1/video/status?request_id=
"""


def in_query(part: bytes, key: str) -> Iterator[bytes]:
    for begin in QUERIES.split():
        for size in (8_000, LONG - ROOM):
            target = begin.encode() + part * (size // len(part))
            yield b"GET /%s HTTP/1.1\r\nAPI-KEY: %s\r\n\r\n" % (target, key.encode())


def in_header(part: bytes, key: str) -> Iterator[bytes]:
    text = part * (HEADER_BYTES // len(part))
    for name in _HEADERS.split():
        yield b"GET / HTTP/1.1\r\n%s: %s\r\n\r\n" % (name.encode(), text)
    yield b"GET / HTTP/1.1\r\nA: %s\r\n\r\n" % (part * ((LONG - ROOM) // len(part)))
    yield b'GET /v1/jobs HTTP/1.1\r\nCookie: %s="%s"\r\n\r\n' % (COOKIE.encode(), text)
    for method, path, name in (
        *(("POST", "/v1/jobs", each) for each in ("Idempotency-Key", "Prefer")),
        ("GET", "/v1/events", "Last-Event-ID"),
    ):
        head = {name: text.decode("latin-1"), "API-KEY": key}
        body = b"" if method == "GET" else json.dumps(JOB).encode()
        yield request_bytes(method, path, body, **head)


def in_body(part: bytes, key: str) -> Iterator[bytes]:
    """tests/http_api/test_hostile_bodies.py has bodies that are no repetitions."""
    text = part * ((LONG - 2 * ROOM) // len(part))
    as_json = json.dumps(text.decode("latin-1"))[: LONG - 2 * ROOM].rstrip("\\").rstrip('"') + '"'
    movie = json.dumps(JOB)
    for content in (
        text,
        b"[%s]" % text,
        movie.replace('"A lighthouse at dawn"', as_json).encode("latin-1"),
        b'{"webhookUrl": %s, ' % as_json.encode() + movie[1:].encode(),
    ):
        own = f"k{zlib.crc32(content)}"  # a key that was used would end the request early
        yield request_bytes("POST", "/v1/jobs", content, API_KEY=key, Idempotency_Key=own)
    yield request_bytes("POST", "/session", text, X_Requested_With="a")


@pytest.mark.parametrize("place", [in_path, in_query, in_header, in_body])
async def test_no_request_of_64_kib_holds_the_event_loop(
    service: RunningService, place: Callable[[bytes, str], Iterator[bytes]]
) -> None:
    key = await service.key()
    log = StringIO()
    with logging_to(log):
        for part in REPEATED[::2]:
            for request in place(part.encode("utf-8", "replace"), key):
                spent = await least_seconds(partial(ask, service, request))
                assert spent < MAX_SECONDS, f"{spent:.3f} s: {request[:200]!r}"
    assert max(map(len, log.getvalue().splitlines()), default=0) < 5 * logs.LONGEST


async def ask(service: RunningService, request: bytes) -> None:
    """Send a request, and wait until it is answered or cut off. A refusal is short."""
    async with raw_connection(service.url) as connection:
        await connection.send(request)
        answer = await connection.read_some()
        assert answer.startswith(b"HTTP/1.1 2") or len(answer) < LONGEST_REFUSAL


@contextmanager
def logging_to(stream: StringIO, log_format: Literal["json", "console"] = "json") -> Iterator[None]:
    """Log as the service does while the block runs."""
    logs.configure(log_format, "info", stream)
    try:
        yield
    finally:
        logs.configure("json", "critical", stream)
