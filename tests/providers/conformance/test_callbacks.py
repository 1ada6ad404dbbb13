"""The callbacks of every provider, and their signatures."""

import json
from typing import Any

import pytest
from hypothesis import example, given

from receiver.clock import SystemClock
from receiver.providers.contract import BadSignature, Provider
from store.records.jobs import Status
from tests.providers.any_json import objects_with
from tests.providers.conformance.subjects import (
    SUBJECTS,
    Subject,
    account,
    as_body,
    as_headers,
    each_subject,
    opened,
)
from tests.providers.faulty_server import Behaviour, answer, faulty_server


@each_subject()
async def test_callbacks_are_read(subject: Subject) -> None:
    async with opened(subject, "http://127.0.0.1:1/") as provider:
        for status, body in subject.callbacks.items():
            report = provider.read(body)
            assert report.status is status
            assert report.provider_request_id == "up-1"
            assert (report.result is not None) == (status is Status.COMPLETED)
            if status is Status.FAILED:
                assert report.message
        nothing = provider.read({})
        assert (nothing.status, nothing.result, nothing.provider_request_id) == (None, None, None)


NAMES = (
    *("id", "request_id", "session_id", "status", "state", "progress", "message", "error"),
    *("expressGenerationError", "payload", "output", "detail", "result", "videoUrl", "result_url"),
    *("result_urls", "video", "url", "video_link", "videoLink", "remoteURL"),
)


@given(body=objects_with(NAMES))
@example(body={"result": {"videoUrl": "https://cdn.example/\ud800"}, "status": "\ud800"})
def test_any_callback_is_read_into_something_that_can_be_stored(body: dict[str, Any]) -> None:
    for subject in SUBJECTS:
        _read(subject.make(account("http://127.0.0.1:1/")), body)


def _read(provider: Provider, body: dict[str, Any]) -> None:
    report = provider.read(body)
    assert (report.status is None) == (report.provider_status is None)
    assert report.progress is None or 0 <= report.progress <= 100
    assert report.provider_request_id is None or 1 <= len(report.provider_request_id) <= 200
    for kept in (report.provider_status, report.message, report.provider_request_id, report.result):
        json.dumps(kept, ensure_ascii=False, allow_nan=False).encode()


# --- signatures -----------------------------------------------------------------------------------


def keys_of(subject: Subject) -> Behaviour:
    return answer(200, as_body(subject.keys or {}))


@each_subject(lambda subject: subject.sign is not None)
async def test_signatures(subject: Subject) -> None:
    sign = subject.sign
    assert sign is not None
    body = as_body(next(iter(subject.callbacks.values())))
    now = SystemClock().now() // 1_000
    async with faulty_server(keys_of(subject)) as server, opened(subject, server.url) as provider:
        provider.start()
        good = sign(body, now)
        verify = provider.verifier(as_headers(good))
        assert verify is not None
        assert await verify(body) is True
        with pytest.raises(BadSignature):
            await verify(body + b" ")
        for name, value in good.items():
            with pytest.raises(BadSignature):
                provider.verifier(as_headers({k: v for k, v in good.items() if k != name}))
            if value.isdigit():
                for bad in ("soon", "1e9", "\uff11", "", "17.5"):
                    with pytest.raises(BadSignature):
                        provider.verifier(as_headers(good | {name: bad}))
            changed = provider.verifier(as_headers(good | {name: value[:-2] + "00"}))
            assert changed is not None
            if value[-2:] != "00":
                with pytest.raises(BadSignature):
                    await changed(body)
        for apart in (-3_000, 3_000):
            stale = provider.verifier(as_headers(sign(body, now + apart)))
            assert stale is not None
            assert await stale(body) is False


@each_subject(lambda subject: subject.keys is not None)
async def test_without_keys_nothing_is_verified_and_nothing_refused(subject: Subject) -> None:
    body = b"{}"
    assert subject.sign is not None
    for behaviour in (answer(500, b"{}"), answer(200, b"<html>"), answer(200, b'{"keys": 7}')):
        async with faulty_server(behaviour) as server, opened(subject, server.url) as provider:
            provider.start()
            verify = provider.verifier(as_headers(subject.sign(body, SystemClock().now() // 1_000)))
            assert verify is not None
            assert await verify(body) is False
            with pytest.raises(BadSignature):
                provider.verifier([])
        assert 1 <= len(server.heads) <= 2
