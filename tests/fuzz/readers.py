"""The readers of bytes from outside, each as a function that fails where its reader does what it
must not: raise something that it does not document, or give what cannot be stored or read again."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from functools import partial
from typing import Any, cast
from unittest.mock import patch

from receiver.client.errors import BadRelay
from receiver.client.relay import verify_relay
from receiver.clock import SystemClock
from receiver.domain.retry_after import LONGEST, read_retry_after
from receiver.domain.serialization import compact_json
from receiver.http_api import queries
from receiver.http_api.auth import _given_key
from receiver.http_api.body import parse_object
from receiver.http_api.errors import Problem
from receiver.http_api.idempotency import _unquoted, fingerprint
from receiver.http_api.responses import none_match
from receiver.http_api.sessions import Sessions
from receiver.json_text import UnreadableJson, decode, parse
from receiver.providers.answers import Account
from receiver.providers.calls import Answer, Calls, _answer
from receiver.providers.contract import BadSignature, Provider, UpstreamJob
from receiver.providers.fal import Fal
from receiver.providers.replicate import Replicate
from receiver.providers.samsar import Samsar
from receiver.providers.samsar_input import upstream_input
from receiver.signed_text import CallbackTokens, SignedText
from receiver.streams.frames import read_cursor
from receiver.streams.tickets import Ticket, Tickets
from receiver.webhooks.targets import LONGEST_URL, TargetRefused, check_url
from store.records import Millis
from tests.fuzz import more_readers

NOW = 1_767_323_045_678
KEYS = ["fuzz-" * 8]
SECRET = "whsec_" + 43 * "A" + "="
MOVIE = {"prompt": "a", "image_model": "IMAGEN3", "video_model": "LUMA", "duration": 10}
REST = {
    "webhookUrl": "https://a.example/hooks",
    "webhookEvents": ["COMPLETED", "progress"],
    "metadata": {"order": "1"},
}
JOB_ID = "job_01M8C5X41QP3E2509F7MG0XVHE"


class _Standing(SystemClock):
    def now(self) -> Millis:
        return NOW


CLOCK = _Standing()
ACCOUNT = Account("one", "https://api.example/", "operators-own-key", CLOCK)
SAMSAR = Samsar(ACCOUNT, image_models=["IMAGEN3"], video_models=["LUMA"])
REPLICATE = Replicate(ACCOUNT, [SECRET])
FAL = Fal(ACCOUNT, "https://keys.example/jwks.json")
KINDS: dict[Provider, str] = {
    SAMSAR: "create_movie",
    REPLICATE: "owner/name",
    FAL: "fal-ai/flux/dev",
}
NAMED = {provider.name: provider for provider in KINDS}
TOKENS, TICKETS, CURSORS = CallbackTokens(KEYS), Tickets(KEYS), SignedText(KEYS, b"receiver.cursor")
SESSIONS = Sessions(KEYS, CLOCK, secure=True)


def body(raw: bytes) -> None:
    """A request's body: JSON that is read and written again is the same; a submission's faults."""
    try:
        value = parse_object(raw)
    except Problem as problem:
        if problem.status != 400:
            raise
        return
    assert parse_object(compact_json(value)) == value
    assert len(fingerprint(value)) == 64
    for kind in ("create_movie", "create_narrative"):
        faults = SAMSAR.check(kind, value)
        compact_json({"faults": [(fault.pointer, fault.detail) for fault in faults]})
        if not faults:
            json.dumps(upstream_input(kind, value), allow_nan=False)


def callback(raw: bytes) -> None:
    """A callback's body, or a status answer's: what it says can be stored and told."""
    try:
        value = parse(decode(raw))
    except UnreadableJson:
        return
    if not isinstance(value, dict):
        return
    for provider in KINDS:
        report = provider.read(value)
        assert report.progress is None or 0 <= report.progress <= 100
        texts = (report.message, report.word, provider.read_id(value))
        for text, longest in zip(texts, (8_192, 64, 200), strict=True):
            assert text is None or len(text) <= longest
            storable(text)
        compact_json({"result": report.result})
        storable(json.dumps(report.result, ensure_ascii=False))
        assert isinstance(provider.is_final(value), bool)


def answer(raw: bytes) -> None:
    """A provider's answer to each call: two bytes of status, a line of Retry-After, the body."""
    header, _, content = raw[2:].partition(b"\n")
    status = 100 + int.from_bytes(raw[:2], "big") % 500
    asyncio.run(_answered(_answer(status, header.decode("latin-1"), bytearray(content), "")))


async def _answered(given: Answer) -> None:
    async def calls(*_: object, **__: object) -> Answer:
        return given

    for provider, kind in KINDS.items():
        job = UpstreamJob("up-1", kind, {})
        with patch.multiple(Calls, send_once=calls, ask=calls):
            said = [
                await provider.submit(kind, MOVIE, "https://a.example/webhooks/samsar/token"),
                await provider.status(job),
                await provider.look_up("https://a.example/webhooks/samsar/token", 0, NOW),
                await provider.cancel(job),
            ]
        for each in said:
            storable(getattr(each, "message", None))
            storable(getattr(each, "reason", None))


def signature(raw: bytes) -> None:
    """The headers of a signed callback, a line each, and its body: nobody has signed it."""
    *lines, content = (raw.split(b"\n", 4) + 5 * [b""])[:5]
    fal = [f"x-fal-webhook-{name}" for name in ("request-id", "user-id", "timestamp", "signature")]
    with contextlib.suppress(BadSignature):
        FAL.verifier([(name.encode(), line) for name, line in zip(fal, lines, strict=True)])
    standard = (b"webhook-id", b"webhook-timestamp", b"webhook-signature")
    with contextlib.suppress(BadSignature):
        verify = REPLICATE.verifier([*zip(standard, lines, strict=False)])
        assert asyncio.run(cast(Any, verify(content))) is False


def headers(raw: bytes) -> None:
    """What a request's headers say: key, times, conditions, cursors."""
    for line in raw.split(b"\n"):
        text = line.decode("latin-1")
        waits = read_retry_after(text, NOW)
        assert waits is None or 0 <= waits <= LONGEST
        cursor = read_cursor(text)
        assert cursor is None or (read_cursor(str(cursor)) == cursor and cursor.seq < 2**63)
        none_match(text, '"tag"')
        unquoted = _unquoted(text)
        assert unquoted is None or len(unquoted) <= len(text)
        scope = {"headers": [(b"authorization", line), (b"cookie", line)]}
        assert _given_key(scope) == _given_key(scope).strip()
        key_hash = SESSIONS.key_hash(scope | {"type": "http"})
        assert key_hash is None or key_hash.isascii()


def signed(raw: bytes) -> None:
    """Tokens, tickets and cursors: what is taken is exactly what was signed."""
    text = raw.decode("latin-1")
    if (job_id := TOKENS.verify("samsar", text)) is not None:
        assert TOKENS.sign("samsar", job_id) == text
    if (ticket := TICKETS.read(text, NOW)) is not None:
        assert TICKETS.issue(ticket) == text
    with contextlib.suppress(Problem):
        assert CURSORS.sign(["jobs", 1, queries.read_cursor(CURSORS, "jobs", 1, text)]) == text


def address(raw: bytes) -> None:
    """A webhook's address: what is taken can be called as it was checked."""
    text = raw.decode("utf-8", errors="surrogateescape")
    try:
        target = check_url(text, allow_http=True, allow_nets=[])
    except TargetRefused as refused:
        storable(str(refused))
        return
    assert len(text) <= LONGEST_URL
    again = check_url(
        f"{target.scheme}://{target.authority}{target.path}", allow_http=True, allow_nets=[]
    )
    assert again == target


def relay(raw: bytes) -> None:
    """Our webhook as its receiver reads it: three lines of headers and the body."""
    *given, content = (raw.split(b"\n", 3) + 4 * [b""])[:4]
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    texts = (line.decode("latin-1") for line in given)
    try:
        verify_relay(SECRET, dict(zip(names, texts, strict=True)), content)
    except BadRelay:
        return
    raise AssertionError("nobody has signed this")


def storable(text: Any) -> None:
    """Fails where a database refuses the text."""
    if isinstance(text, str):
        text.encode("utf-8")
        assert "\0" not in text


READERS: dict[str, Callable[[bytes], None]] = {
    "body": body,
    "callback": callback,
    "answer": answer,
    "signature": signature,
    "headers": headers,
    "signed": signed,
    "address": address,
    "relay": relay,
    "query": partial(more_readers.query, NAMED),
    "submitted": partial(more_readers.submitted, NAMED),
    "ranges": more_readers.ranges,
    "results": more_readers.results,
    "keys": more_readers.keys,
    "exchange": more_readers.exchange,
}

EXAMPLES: dict[str, list[bytes]] = {
    "query": [
        b"status=PENDING&kind=create_movie&provider=fal&q=a&limit=20&metadata.a=b",
        b"created_after=2026-01-02T03:04:05.678Z&created_before=2026-01-02T03:04:05+14:00&n=2",
        b"state=exhausted&request_id=job_1&host=[::1]:443",
        b"host=a.example:8080",
    ],
    "submitted": [
        json.dumps({"kind": kind, "provider": provider.name, "input": MOVIE} | REST).encode()
        for provider, kind in KINDS.items()
    ],
    "ranges": [
        b"\nbytes=9-2",
        b'"tag"\nbytes=0-9',
        b"\nbytes=-5",
        b"\nbytes=990-",
        b"\nwait=10, respond-async",
    ],
    "results": [
        b'video/mp4; a=b\n{"videoUrl":"https://a.example/a.mp4","b":["http://b.example/"]}',
        b'application/octet-stream\n{"a":' + json.dumps(9 * [["some text", 1.5]]).encode() + b"}",
    ],
    "keys": [json.dumps({"keys": [{"crv": "Ed25519", "x": 43 * "A"}]}).encode(), SECRET.encode()],
    "exchange": [
        b'\x02HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: "a"\r\n\r\nok',
        b"\x07HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP",
        b"\x01HTTP/1.1 202 \r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nA: b\r\n\r\n",
        b"\x03HTTP/1.0 204 No Content\nConnection: close\n folded\n\nmore",
    ],
    "signed": [
        TOKENS.sign("samsar", JOB_ID).encode(),
        TICKETS.issue(Ticket(1, "ab", JOB_ID, NOW + 1)).encode(),
        CURSORS.sign(["jobs", 1, JOB_ID]).encode(),
    ],
}
"""Beside the corpus: what only a key can make, and what is long."""
