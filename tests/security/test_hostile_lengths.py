"""A long text cannot stop the service: the time to read it grows linearly with its length.

The readers of bytes from outside get repetitions that once took quadratic time, or could. The
bounds on the measured time are wide: four times the text takes a quadratic reader 16 times as long,
and seconds where these bounds are milliseconds.
"""

import json
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request

from receiver import logs
from receiver.clock import SystemClock
from receiver.http_api import idempotency, queries
from receiver.http_api.errors import Problem
from receiver.http_api.sessions import COOKIE, Sessions
from receiver.json_text import decode, parse
from receiver.net.retry_after import read_retry_after
from receiver.providers import parsing, samsar
from receiver.providers.calls import read_response
from receiver.providers.samsar import InputRules, upstream_input
from receiver.signed_text import PayloadSigner
from receiver.streams import frames
from receiver.webhooks import targets
from tests.http_api.raw_http import raw_connection, request_bytes
from tests.simulation.client import scope
from tests.support.service import JOB, RunningService

SHORT, LONG = 16 * 1024, 64 * 1024
GROWTH = 12.0
"""The allowed factor for four times the text: linear is four, quadratic would be sixteen."""
UNNOTICED = 0.05
"""Seconds that a request may take by the contract. A long text, which is as long as a whole
request, needs no second measurement if it takes less."""
MAX_SECONDS = 0.25
"""Seconds that a reader may take for the long text, on a busy machine."""

REFUSALS = (Problem, targets.TargetRefused, ValueError)
"""What a reader may raise."""

KEYS = ["k" * 32]
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


def scope_of(**headers: str) -> dict[str, Any]:
    encoded = [
        (name.replace("_", "-").encode(), value.encode("utf-8", "surrogatepass"))
        for name, value in headers.items()
    ]
    return scope("GET", "/v1/jobs", {}) | {"headers": encoded}


def request_with(query: str = "", **headers: str) -> Request:
    query_string = query.encode("utf-8", "surrogatepass")
    return Request(scope_of(**headers) | {"query_string": query_string})


SESSIONS = Sessions(KEYS, SystemClock(), secure=False)
PARTS: Any = SimpleNamespace(services=SimpleNamespace(clock=SystemClock()))
RULES = InputRules([], [])


def report(text: str) -> None:
    names = ("status", "message", "videoUrl", "url", "request_id", "error")
    result = {"videoUrl": f"http://{text}", "result_urls": [text]}
    samsar.read_report(dict.fromkeys(names, text) | {"result": result})


def provider_json(raw: bytes) -> None:
    parsing.clean(parse(decode(raw)))


def narrative(text: str) -> None:
    RULES.faults("create_narrative", {"prompt_list": text})
    upstream_input("create_narrative", {"prompt_list": text})


def log_line(text: str) -> None:
    """A log line for a terminal, which is scanned once more than the one in JSON."""
    event: Any = logs._without_secrets(None, "", {"at": [{text: text}]})
    logs._without_controls(None, "", event | {"exception": text})


READERS: dict[str, Callable[[str], object]] = {
    "redaction of a text that is not cut": logs._hide,
    "a log line": log_line,
    "a provider's json": lambda text: provider_json(json.dumps([text]).encode()),
    "a provider's bytes": lambda text: provider_json(text.encode("utf-16", "replace")),
    "a provider's report": report,
    "a provider's plain text": lambda text: read_response(402, None, bytearray(text, "utf-8")),
    "Retry-After": lambda text: read_retry_after(text, 0),
    "Retry-After, a date": lambda text: read_retry_after(f"Mon, 01 Jan 2024 {text}", 0),
    "input": narrative,
    "a webhook address": lambda text: targets.check_url(
        f"https://{text}", allow_http=False, allow_nets=()
    ),
    "a signed text": lambda text: PayloadSigner(KEYS, b"salt").read(text),
    "a list's cursor": lambda text: queries.read_cursor(
        PayloadSigner(KEYS, b"salt"), "jobs", 1, text
    ),
    "a stream's cursor": frames.read_cursor,
    "our cookie": lambda text: SESSIONS.key_hash(scope_of(cookie=f'{COOKIE}="{text}"')),
    "a body's fingerprint": lambda text: idempotency.fingerprint(
        {"texts": [text], "numbers": [1e308] * (len(text) // 6)}
    ),
}


def seconds(read: Callable[[str], object], text: str) -> float:
    """The CPU seconds that a reader takes for a text, even if it refuses it: the least of three
    measurements, unless the first one is short. Other processes on this machine do not count."""
    least = float("inf")
    for _ in range(3):
        if least < UNNOTICED:
            break
        began = time.thread_time()
        with suppress(*REFUSALS):
            read(text)
        least = min(least, time.thread_time() - began)
    return least


@pytest.mark.parametrize("name", READERS)
def test_a_reader_takes_as_long_as_its_text_is(name: str) -> None:
    read = READERS[name]
    for part in REPEATED:
        text = part * (LONG // len(part))
        long = seconds(read, text)
        assert long < MAX_SECONDS, f"{name}: {long:.3f} s for {part!r}"
        if long > UNNOTICED:
            short = seconds(read, text[:SHORT])
            assert long < GROWTH * short, f"{name}: {part!r}, {short:.4f} s and then {long:.4f} s"


# --- whole requests, of a running service ---------------------------------------------------------

ROOM = 512
"""Bytes of a request of 64 KiB that remain for the rest of it."""
_HEADERS = """
    API-KEY Accept Authorization Connection Content-Encoding Content-Length Content-Type Cookie
    Expect Host If-None-Match Last-Event-ID Origin Sec-Fetch-Site Transfer-Encoding Upgrade
    X-Request-ID
"""
_HEADERS_OF_SUBMISSIONS = "Idempotency-Key Prefer"
HEADER_BYTES = 32_000
"""The most that one header may have; a longer one is refused unread."""


def in_path(part: bytes, key: str) -> Iterator[bytes]:
    for begin in (b"", b"v1/jobs/", b"webhooks/samsar/", b"static/"):
        for size in (8_000, LONG - ROOM):
            yield b"GET /%s HTTP/1.1\r\n\r\n" % (begin + part * (size // len(part)))


def in_query(part: bytes, key: str) -> Iterator[bytes]:
    for begin in (b"/v1/jobs?", b"/v1/jobs?metadata.a=", b"/v1/events?ticket=", b"/?"):
        for size in (8_000, LONG - ROOM):
            target = begin + part * (size // len(part))
            yield b"GET %s HTTP/1.1\r\nAPI-KEY: %s\r\n\r\n" % (target, key.encode())


def in_header(part: bytes, key: str) -> Iterator[bytes]:
    text = part * (HEADER_BYTES // len(part))
    for name in _HEADERS.split():
        yield b"GET / HTTP/1.1\r\n%s: %s\r\n\r\n" % (name.encode(), text)
    yield b"GET / HTTP/1.1\r\nA: %s\r\n\r\n" % (part * ((LONG - ROOM) // len(part)))
    yield b'GET /v1/jobs HTTP/1.1\r\nCookie: a="%s"\r\n\r\n' % text
    for name in _HEADERS_OF_SUBMISSIONS.split():
        head = {name: text.decode("latin-1"), "API-KEY": key}
        yield request_bytes("POST", "/v1/jobs", json.dumps(JOB).encode(), **head)


def in_body(part: bytes, key: str) -> Iterator[bytes]:
    text = part * ((LONG - 2 * ROOM) // len(part))
    as_json = json.dumps(text.decode("latin-1"))[: LONG - 2 * ROOM].rstrip("\\").rstrip('"') + '"'
    movie = json.dumps(JOB)
    for content in (
        text,
        b"[%s]" % text,
        movie.replace('"A lighthouse at dawn"', as_json).encode("latin-1"),
        movie.replace('"create_movie"', as_json).encode("latin-1"),
        b'{"numbers": [%s1], ' % (b"1e308," * 10_000) + movie[1:].encode(),
        b'{"webhookUrl": %s, ' % as_json.encode() + movie[1:].encode(),
    ):
        yield request_bytes(
            "POST", "/v1/jobs", content, API_KEY=key, Idempotency_Key="k" + str(zlib.crc32(content))
        )
    yield request_bytes("POST", "/session", text, X_Requested_With="a")


@pytest.mark.parametrize("place", [in_path, in_query, in_header, in_body])
async def test_no_request_of_64_kib_holds_the_event_loop(
    service: RunningService, place: Callable[[bytes, str], Iterator[bytes]]
) -> None:
    key = await service.key()
    log = StringIO()
    with logging_to(log):
        for part in REPEATED[::4]:
            for request in place(part.encode("utf-8", "replace"), key):
                spent = await loop_seconds(service, request)
                for _ in range(3):  # as above: the least of several
                    if spent > UNNOTICED:
                        spent = min(spent, await loop_seconds(service, request))
                assert spent < 2 * UNNOTICED, f"{spent:.3f} s: {request[:200]!r}"
    assert max(map(len, log.getvalue().splitlines()), default=0) < 5 * logs.LONGEST


async def loop_seconds(service: RunningService, request: bytes) -> float:
    """CPU seconds of the event loop until a request is answered or cut off, with our sending."""
    async with raw_connection(service.url) as connection:
        began = time.thread_time()
        await connection.send(request)
        await connection.read_some()
        return time.thread_time() - began


@contextmanager
def logging_to(stream: StringIO) -> Iterator[None]:
    """Log as the service does while the block runs."""
    logs.configure("json", "info", stream)
    try:
        yield
    finally:
        logs.configure("json", "critical", stream)
