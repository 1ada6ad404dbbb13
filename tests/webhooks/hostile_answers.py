"""Answers of hostile or broken hosts, and the result of the attempt."""

from receiver.webhooks.delivery import EXCERPT
from tests.providers.faulty_server import (
    Behaviour,
    flooding,
    reset_after_request,
    send_raw,
    stall_after,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

FAILURES: dict[str, tuple[Behaviour, str]] = {
    "reset": (reset_after_request, "reset"),
    "closed without a word": (send_raw(b""), "bad_answer"),
    "an upgrade that nobody asked for": (
        send_raw(b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
        "bad_answer",
    ),
    "endless headers": (flooding(HEAD, b"X-A: " + b"b" * 80 + b"\r\n"), "answer_too_long"),
    "endless interim answers": (flooding(b"", b"HTTP/1.1 100 \r\n\r\n"), "answer_too_long"),
    "endless rubbish": (flooding(b"", b"\x00" * 65536), "bad_answer"),
    "half a head": (stall_after(HEAD), "timeout"),
}

DECIDED: dict[str, tuple[Behaviour, str | None]] = {
    "less than its length": (send_raw(HEAD + b"Content-Length: 9\r\n\r\nok"), "ok"),
    "a drip": (stall_after(HEAD + b"Content-Length: 9\r\n\r\nok"), "ok"),
    "bad chunks": (send_raw(CHUNKED + b"xyz\r\n"), None),
    "a bomb, unopened": (
        send_raw(HEAD + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08"),
        "\x1f\ufffd\x08",
    ),
    "gigabytes": (flooding(HEAD + b"\r\n", b"x" * 65536), "x" * EXCERPT),
    "endless tiny chunks": (flooding(CHUNKED, b"1\r\nx\r\n" * 1000), "x" * EXCERPT),
    "endless trailers": (flooding(CHUNKED + b"2\r\nok\r\n0\r\n", b"X-A: b\r\n" * 99), "ok"),
}
