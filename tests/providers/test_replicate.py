"""What is special to Replicate: its kinds, statuses and its secret."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from receiver.clock import Clock, SystemClock
from receiver.domain.answers import (
    Report,
    StatusReport,
    SubmitAccepted,
)
from receiver.providers.replicate.upstream import Replicate, read_keys
from receiver.upstream.calls import Response
from receiver.upstream.contract import BadSignature, UpstreamJob
from receiver.webhooks.signing import new_secret
from store.records.jobs import Status
from tests.providers.conformance.subjects import (
    KEY,
    SECRET,
    VERSION,
    WHSEC,
    account,
    as_headers,
    closing,
    sign_replicate,
)
from tests.providers.path_server import PathServer, path_server
from tests.support.manual_clock import ManualClock

UP_1 = UpstreamJob("up-1", "owner/name", {})
KEY_CALL = "GET /webhooks/default/secret"
KEYS = {KEY_CALL: (200, {"key": WHSEC})}


def replicate(
    server: PathServer, clock: Clock | None = None, *secrets: str
) -> AbstractAsyncContextManager[Replicate]:
    return closing(Replicate(account(f"{server.origin}/", clock), secrets))


@pytest.mark.parametrize(
    ("kind", "path", "version"),
    [
        ("owner/name", "/models/owner/name/predictions", None),
        (f"owner/name:{VERSION}", "/predictions", f"owner/name:{VERSION}"),
        (VERSION, "/predictions", VERSION),
        ("deployments/owner/name", "/deployments/owner/name/predictions", None),
    ],
)
async def test_the_path_of_each_kind(kind: str, path: str, version: str | None) -> None:
    answers = {f"POST {path}": (201, {"id": "up-1"})}
    async with path_server(answers) as server, replicate(server) as provider:
        said = await provider.submit(kind, '{"prompt": "A heron"}', "https://a.example/x", "job_1")
    assert said == SubmitAccepted("up-1")
    (call,) = server.calls
    assert call.json == {
        "input": {"prompt": "A heron"},
        "webhook": "https://a.example/x",
        "webhook_events_filter": ["start", "completed"],
        **({} if version is None else {"version": version}),
    }
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert "prefer" not in call.headers


@pytest.mark.parametrize(
    ("prediction", "report"),
    [
        ({"status": "starting"}, Report(Status.PENDING, "starting")),
        ({"status": "odd"}, Report(Status.IN_PROGRESS, "odd")),
        (
            {"status": "succeeded", "output": None},
            Report(Status.COMPLETED, "succeeded", result={"output": None}),
        ),
        (
            {"status": "succeeded", "output": 17454220438242315174},
            Report(Status.COMPLETED, "succeeded", result={"output": 17454220438242315174}),
        ),
        (
            {"status": "succeeded", "output": None, "data_removed": True},
            Report(Status.COMPLETED, "succeeded", result_is_gone=True),
        ),
        (
            {"status": "succeeded", "output": [], "data_removed": True},
            Report(Status.COMPLETED, "succeeded", result={"output": []}),
        ),
        ({"status": "aborted"}, Report(Status.FAILED, "aborted")),
        (
            {"id": "x", "status": "failed", "error": f"E1001 {KEY}", "output": ["part"]},
            Report(Status.FAILED, "failed", None, None, "E1001 …", "x"),
        ),
        (
            {"id": "x", "status": "failed", "error": {"detail": [f"é {KEY}", None]}},
            Report(Status.FAILED, "failed", None, None, '{"detail": ["é …", null]}', "x"),
        ),
        (
            {"id": "x", "status": "failed", "error": {}},
            Report(Status.FAILED, "failed", None, None, None, "x"),
        ),
    ],
)
async def test_predictions(prediction: dict[str, Any], report: Report) -> None:
    answers = {"GET /predictions/up-1": (200, prediction)}
    async with path_server(answers) as server, replicate(server) as provider:
        assert provider.read(prediction) == report
        said = await provider.status(UP_1)
    assert isinstance(said, StatusReport)
    assert said.report.status is report.status


async def test_the_published_example_is_verified() -> None:
    clock = ManualClock(1614265330_000)
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    provider = Replicate(account("http://127.0.0.1:1/", clock), [secret])
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert await provider.verifier(as_headers(headers))(b'{"test": 2432232314}') is True


async def verified(provider: Replicate, clock: Clock, secret: bytes) -> bool | None:
    """Whether a callback that is signed now is verified; None if it is refused."""
    headers = as_headers(sign_replicate(b"{}", clock.now() // 1_000, secret))
    try:
        return await provider.verifier(headers)(b"{}")
    except BadSignature:
        return None


async def test_the_secret_is_fetched_again_once_a_minute_if_it_does_not_match() -> None:
    clock = ManualClock()
    fresh = b"another secret of the account"
    async with path_server(KEYS) as server, replicate(server, clock) as provider:
        provider.start()
        assert await verified(provider, clock, SECRET) is True
        assert len(server.calls) == 1
        # The request at the start does not count: the first mismatch fetches the secret at once.
        assert await verified(provider, clock, b"garbage") is None
        assert len(server.calls) == 2
        server.answers[KEY_CALL] = (200, {"key": new_secret(fresh)})
        clock.advance(59)
        assert await verified(provider, clock, fresh) is None
        assert len(server.calls) == 2
        clock.advance(2)
        assert await verified(provider, clock, fresh) is True
        assert await verified(provider, clock, SECRET) is None
        assert len(server.calls) == 3
        server.answers[KEY_CALL] = (500, {})
        clock.advance(24 * 3600)
        assert await verified(provider, clock, fresh) is False, "a day later it is forgotten"


async def test_callbacks_share_one_request_for_keys() -> None:
    clock = SystemClock()
    async with path_server(KEYS) as server, replicate(server, clock) as provider:
        server.held[KEY_CALL] = asyncio.Event()
        provider.start()
        asking = [asyncio.ensure_future(verified(provider, clock, SECRET)) for _ in range(9)]
        await asyncio.sleep(0)
        asking[0].cancel()
        server.held[KEY_CALL].set()
        assert await asyncio.gather(*asking[1:]) == [True] * 8
        assert len(server.calls) == 1


async def test_configured_secrets_are_not_fetched() -> None:
    clock, secrets = SystemClock(), (new_secret(b"old"), new_secret(b"new"))
    async with path_server(KEYS) as server, replicate(server, clock, *secrets) as provider:
        provider.start()
        assert await verified(provider, clock, b"old") is True
        assert await verified(provider, clock, b"new") is True
        assert await verified(provider, clock, SECRET) is None
    assert server.calls == []


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!", "c2VjcmV0", "whsec_\ud800", None, 7])
def test_malformed_secrets(secret: Any) -> None:
    assert read_keys(Response(200, {}, {"key": secret})) == []


async def test_a_version_is_kept_for_an_hour() -> None:
    clock, path = ManualClock(), f"GET /models/owner/name/versions/{VERSION}"
    answers = {path: (200, {"id": VERSION})}
    async with path_server(answers) as server, replicate(server, clock) as provider:
        for hours in (0.0, 0.9, 0.2):
            clock.advance(hours * 3_600)
            assert (
                await provider.version("owner/name", VERSION) == b'{"id": "%b"}' % VERSION.encode()
            )
        assert await provider.version("owner/other", VERSION) is None
    assert [call.path for call in server.calls].count(path.removeprefix("GET ")) == 2


@pytest.mark.parametrize(
    ("model", "version"),
    [("../predictions", ".."), ("a/..", "b"), ("a/b", "../c"), ("a/b", "c?d"), ("a", "b")],
)
async def test_only_models_are_described(model: str, version: str) -> None:
    """`..` would lead to what the operator's key may read, such as everybody's predictions."""
    async with path_server() as server, replicate(server) as provider:
        assert await provider.version(model, version) is None
    assert server.calls == []
