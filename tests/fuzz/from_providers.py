"""Readers of what providers, and the hosts of their files, send."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any, cast
from unittest.mock import patch

from receiver.archive.contract import key_of, type_of
from receiver.domain import results as domain_results
from receiver.domain.results import links_of, truncate_result
from receiver.domain.serialization import compact_json
from receiver.json_text import UnreadableJson, decode, parse
from receiver.providers.fal import upstream as fal
from receiver.providers.replicate import upstream as replicate
from receiver.providers.samsar.rules import InputRules
from receiver.providers.samsar.upstream import Samsar
from receiver.upstream.api import Account
from receiver.upstream.calls import HttpClient, Response, read_response
from receiver.upstream.contract import BadSignature, Provider, UpstreamJob
from receiver.upstream.signatures import read_jwks
from tests.support.manual_clock import ManualClock

MOVIE = {"prompt": "a", "image_model": "IMAGEN3", "video_model": "LUMA", "duration": 10}
SECRET = "whsec_" + 43 * "A" + "="


CLOCK = ManualClock()
NOW = CLOCK.now()
ACCOUNT = Account("one", "https://api.example/", "operators-own-key", CLOCK)
SAMSAR = Samsar(ACCOUNT, InputRules(["IMAGEN3"], ["LUMA"]))
REPLICATE = replicate.Replicate(ACCOUNT, [SECRET])
FAL = fal.Fal(ACCOUNT, "https://keys.example/jwks.json")
KINDS: dict[Provider, str] = {
    SAMSAR: "create_movie",
    REPLICATE: "owner/name",
    FAL: "fal-ai/flux/dev",
}
ROOM = 100
"""The limit for a result that is shown; in the service it is 64 KiB."""


def callback(raw: bytes) -> None:
    """The body of a callback or status answer: what is read from it can be stored and published."""
    try:
        value = parse(decode(raw))
    except UnreadableJson:
        return
    if not isinstance(value, dict):
        return
    for provider in KINDS:
        report = provider.read(value)
        assert report.progress is None or 0 <= report.progress <= 100
        texts = (report.message, report.provider_status, report.provider_request_id)
        for text, longest in zip(texts, (8_192, 64, 200), strict=True):
            assert text is None or len(text) <= longest
            storable(text)
        compact_json({"result": report.result})
        storable(json.dumps(report.result, ensure_ascii=False))


def answer(raw: bytes) -> None:
    """A provider's answer to each kind of call: two bytes of status, a Retry-After line, the
    body."""
    header, _, content = raw[2:].partition(b"\n")
    status = 100 + int.from_bytes(raw[:2], "big") % 500
    asyncio.run(
        _call_all(
            read_response(status, {"retry-after": header.decode("latin-1")}, bytearray(content))
        )
    )


async def _call_all(given: Response) -> None:
    async def calls(*arguments: Any, **_: Any) -> Any:
        read: Callable[[Response], Any] = next(filter(callable, arguments))
        return read(given)

    for provider, kind in KINDS.items():
        job = UpstreamJob("up-1", kind, {})
        with patch.multiple(HttpClient, send_once=calls, ask=calls):
            answers = [
                await provider.submit(
                    kind, json.dumps(MOVIE), "https://a.example/webhooks/samsar/token", "job_1"
                ),
                await provider.status(job),
                await provider.cancel(job),
            ]
        for each in answers:
            storable(getattr(each, "message", None))
            storable(getattr(each, "reason", None))


def signature(raw: bytes) -> None:
    """The headers of a signed callback, one a line, and its body: the signature must not verify."""
    *lines, content = (raw.split(b"\n", 4) + 5 * [b""])[:5]
    names = ("request-id", "user-id", "timestamp", "signature")
    sent = [f"x-fal-webhook-{name}".encode() for name in names]
    with contextlib.suppress(BadSignature):
        FAL.verifier([*zip(sent, lines, strict=True)])
    standard = (b"webhook-id", b"webhook-timestamp", b"webhook-signature")
    with contextlib.suppress(BadSignature):
        verify = REPLICATE.verifier([*zip(standard, lines, strict=False)])
        assert asyncio.run(cast(Any, verify(content))) is False


def results(raw: bytes) -> None:
    """A result, and a host's headers for one of its files: what is shown fits the limit, and only
    we choose the names of stored files."""
    header, _, content = raw.partition(b"\n")
    media_type = type_of(header.decode("latin-1"), content.decode("latin-1"))
    assert media_type.isascii()
    assert media_type.isprintable()
    _, name, number = key_of("ada", "job_1", 1, media_type).split("/")
    assert (name, number.partition(".")[0]) == ("job_1", "1")
    result = _object(content)
    with patch.object(domain_results, "RESULT_BYTES", ROOM):
        shown = truncate_result(result)
    assert len(compact_json(shown)) <= ROOM
    assert shown == result or shown["truncated"] is True
    links = links_of(result)
    assert len(set(links)) == len(links)


def keys(raw: bytes) -> None:
    """A provider's answer to a request for its signing keys."""
    replicate.read_keys(Response(200, {}, {"key": raw.decode("latin-1")}))
    for key in read_jwks(Response(200, {}, _object(raw))):
        assert len(key.public_bytes_raw()) == 32


def _object(raw: bytes) -> dict[str, Any]:
    """The JSON object; an empty one if the text is none."""
    try:
        value = parse(decode(raw))
    except UnreadableJson:
        return {}
    return value if isinstance(value, dict) else {}


def storable(text: Any) -> None:
    """Fail if a database would refuse the text."""
    if isinstance(text, str):
        text.encode("utf-8")
        assert "\0" not in text
