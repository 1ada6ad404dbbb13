"""The callbacks of every provider, and their signatures."""

import pytest

from receiver.clock import SystemClock
from receiver.upstream.contract import BadSignature
from store.records.jobs import Status
from tests.providers.conformance.each import each_subject
from tests.providers.conformance.subjects import (
    Subject,
    as_body,
    as_headers,
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
        if subject.sign is None:
            assert provider.verifier([]) is None
        nothing = provider.read({})
        assert (nothing.status, nothing.result, nothing.provider_request_id) == (None, None, None)


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
