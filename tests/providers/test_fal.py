"""What is special to fal: URLs in its answers, two calls for a status, keys from a JWKS."""

from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.responses import JSONResponse, Response

from receiver.clock import SystemClock
from receiver.domain.answers import StatusAnswer, StatusReport, StatusUnavailable, SubmitAccepted
from receiver.providers.fal.upstream import Fal
from receiver.upstream.contract import BadSignature, UpstreamJob
from store.records.jobs import Status
from tests.providers.conformance.subjects import (
    KEY,
    PRIVATE_KEY,
    account,
    as_headers,
    closing,
    jwks,
    sign_fal,
)
from tests.providers.path_server import PathServer, path_server

JWKS = "GET /.well-known/jwks.json"
STATUS, RESPONSE = "GET /fal-ai/flux/requests/up-1/status", "GET /fal-ai/flux/requests/up-1"
UP_1 = UpstreamJob("up-1", "fal-ai/flux/dev", {})


def fal(server: PathServer, *, user_id: str | None = None) -> AbstractAsyncContextManager[Fal]:
    jwks_url = f"{server.origin}/.well-known/jwks.json"
    return closing(Fal(account(f"{server.origin}/"), jwks_url, user_id))


async def test_a_submission_and_the_urls_in_its_answer() -> None:
    async with path_server() as server, fal(server) as provider:
        own = f"{server.origin}/fal-ai/flux/dev/requests/up-1"
        answer = {
            "request_id": "up-1",
            "gateway_request_id": "up-2",
            "status_url": f"{own}/status?logs=1",
            "response_url": "https://evil.example/fal-ai/flux/requests/up-1",
            "cancel_url": f"{own}/cancel",
        }
        server.answers["POST /fal-ai/flux/dev"] = (200, answer)
        webhook = "https://receiver.example/webhooks/fal/a b&c=d"
        said = await provider.submit("fal-ai/flux/dev", '{"prompt": "A heron"}', webhook, "job_1")
        call = server.calls[0]
        assert call.query == {"fal_webhook": webhook}
        assert call.json == {"prompt": "A heron"}
        assert call.headers["authorization"] == f"Key {KEY}"
        assert call.headers["x-fal-no-retry"] == "1"
        assert isinstance(said, SubmitAccepted)
        assert said.provider_request_id == "up-1"
        assert said.urls == {"status": answer["status_url"], "cancel": answer["cancel_url"]}

        job = UpstreamJob("up-1", "fal-ai/flux/dev", said.urls)
        path = "/fal-ai/flux/dev/requests/up-1"
        server.answers[f"GET {path}/status"] = (202, {"status": "COMPLETED"})
        await provider.status(job)
        await provider.cancel(job)
    assert server.asked() == [
        "POST /fal-ai/flux/dev",
        f"GET {path}/status",
        "GET /fal-ai/flux/requests/up-1",
        f"PUT {path}/cancel",
    ]
    assert server.call(f"GET {path}/status").query == {"logs": "1"}


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x",
        "http://127.0.0.1:1/x",
        "http://user@127.0.0.1/x",
        "http://[::1/x",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/" + "x" * 2048,
        7,
        None,
    ],
)
async def test_a_url_of_another_host_is_not_called(url: Any) -> None:
    async with path_server() as server, fal(server) as provider:
        await provider.status(UpstreamJob("up-1", "fal-ai/flux/dev", {"status": url}))
    assert server.asked() == [STATUS]


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("fal-ai/flux", "fal-ai/flux"),
        ("fal-ai/flux/dev/image-to-image", "fal-ai/flux"),
        ("workflows/owner/alias/x", "workflows/owner/alias"),
        ("comfy/owner/alias", "comfy/owner/alias"),
    ],
)
async def test_urls_that_were_not_in_the_answer(kind: str, path: str) -> None:
    async with path_server() as server, fal(server) as provider:
        await provider.status(UpstreamJob("up-1", kind, {}))
    assert server.asked() == [f"GET /{path}/requests/up-1/status"]


async def status(state: Any, response: tuple[int, Any] = (404, {})) -> StatusAnswer:
    answers = {STATUS: (200, state), RESPONSE: response}
    async with path_server(answers) as server, fal(server) as provider:
        return await provider.status(UP_1)


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ({"seed": 17454220438242315174}, {"seed": 17454220438242315174}),
        (None, {"output": None}),
        ("text", {"output": "text"}),
    ],
)
async def test_a_good_answer_at_the_response_url_is_the_result(
    value: Any, result: dict[str, Any]
) -> None:
    said = await status({"status": "COMPLETED"}, (200, value))
    assert isinstance(said, StatusReport)
    assert said.report.status is Status.COMPLETED
    assert said.report.result == result


async def test_a_result_that_cannot_be_had_does_not_end_the_job() -> None:
    """fal passes on the model's status codes: a 403 says nothing about our key."""
    page = Response(b"<html>not here</html>", 405, media_type="text/html")
    brotli = Response(b"\x0b\x02", 400, {"Content-Encoding": "br"}, media_type="application/json")
    async with path_server() as server, fal(server) as provider:
        for answer in (page, brotli, JSONResponse(FAULTS, 403)):
            server.answers[RESPONSE] = (answer.status_code, answer)
            said = await provider.result(UP_1)
            assert isinstance(said, StatusUnavailable)
            assert (said.credentials_refused, said.only_this_job) == (False, True)


FAULTS = {"detail": [{"loc": ["body", "prompt"], "msg": "field required", "type": "missing"}]}


@pytest.mark.parametrize(
    ("code", "body", "ended", "message"),
    [
        (400, {"detail": "bad picture"}, Status.FAILED, "bad picture"),
        (410, {}, Status.FAILED, "The provider answered 410."),
        (500, FAULTS, Status.FAILED, "body.prompt: field required"),
        (504, {"detail": "late", "error_type": "request_timeout"}, Status.FAILED, "late"),
        (499, {"detail": "x", "error_type": "client_cancelled"}, Status.CANCELLED, "x"),
    ],
)
async def test_a_result_call_that_shows_a_failure(
    code: int, body: Any, ended: Status, message: str
) -> None:
    said = await status({"status": "COMPLETED"}, (code, body))
    assert isinstance(said, StatusReport)
    assert (said.report.status, said.report.message) == (ended, message)


@pytest.mark.parametrize(
    ("code", "body"),
    [
        (400, {"detail": "Request is still in progress"}),
        *((code, FAULTS) for code in (401, 403, 404, 408, 429)),
        (500, {"detail": "oops"}),
        (503, b"<html>"),
        (200, b"<html>"),
        (302, {}),
    ],
)
async def test_a_result_call_that_does_not_show_the_outcome(code: int, body: Any) -> None:
    said = await status({"status": "COMPLETED"}, (code, body))
    assert isinstance(said, StatusUnavailable)
    assert not said.credentials_refused
    assert said.only_this_job == (code not in (429, 500, 503))


FAILED_RUN = {"status": "COMPLETED", "error": "Invalid status code: 422", "metrics": {"n": 1}}


@pytest.mark.parametrize(
    ("code", "body", "ended", "message", "detail"),
    [
        (
            422,
            FAULTS,
            Status.FAILED,
            "Invalid status code: 422: body.prompt: field required",
            FAULTS["detail"],
        ),
        (422, {"detail": "no"}, Status.FAILED, "Invalid status code: 422: no", "no"),
        (422, {}, Status.FAILED, "Invalid status code: 422", None),
        (499, {"detail": "client_cancelled"}, Status.CANCELLED, None, "client_cancelled"),
        # Without a reason, the status counts.
        (404, {"detail": "?"}, Status.FAILED, "Invalid status code: 422", None),
        (502, b"<html>", Status.FAILED, "Invalid status code: 422", None),
        (200, {"images": []}, Status.FAILED, "Invalid status code: 422", None),
    ],
)
async def test_a_failed_run_has_the_reason_at_the_response_url(
    code: int, body: Any, ended: Status, message: str | None, detail: Any
) -> None:
    said = await status(FAILED_RUN, (code, body))

    assert isinstance(said, StatusReport)
    report = said.report
    assert (report.status, report.details["detail"]) == (ended, detail)
    assert message in (None, report.message)
    assert report.details["metrics"] == {"n": 1}
    assert (report.provider_status, report.result) == ("COMPLETED", None)
    assert report.details["status_code"] == (499 if code == 499 else 422)


@pytest.mark.parametrize(
    ("body", "ended", "has_result", "message"),
    [
        ({"status": "OK", "payload": {}}, Status.COMPLETED, True, None),
        ({"status": "OK", "payload": 0}, Status.COMPLETED, True, None),
        ({"status": "OK", "payload": None, "payload_error": "x"}, Status.COMPLETED, False, None),
        ({"status": "OK"}, Status.COMPLETED, False, None),
        ({"status": "ERROR", "error": "a", "payload_error": "b"}, Status.FAILED, False, "a"),
        (
            {"status": "ERROR", "error": "Invalid status code: 422", "payload": FAULTS},
            Status.FAILED,
            False,
            "Invalid status code: 422: body.prompt: field required",
        ),
        ({"status": "LATER"}, Status.IN_PROGRESS, False, None),
        ({"status": "IN_QUEUE"}, Status.PENDING, False, None),
        ({"status": "COMPLETED", "error": "boom"}, Status.FAILED, False, "boom"),
        ({"status": "COMPLETED", "error_type": "internal_error"}, Status.FAILED, False, None),
    ],
)
async def test_webhooks_and_status_answers(
    body: dict[str, Any], ended: Status, has_result: bool, message: str | None
) -> None:
    async with fal(PathServer()) as provider:
        report = provider.read(body)
    assert (report.status, report.result is not None, report.message) == (
        ended,
        has_result,
        message,
    )


async def test_a_callback_that_is_signed_for_another_user() -> None:
    keys = jwks(Ed25519PrivateKey.generate(), PRIVATE_KEY)
    headers = as_headers(sign_fal(b"{}", SystemClock().now() // 1_000))
    async with path_server({JWKS: (200, keys)}) as server:
        for user_id in ("user-1", None):
            async with fal(server, user_id=user_id) as provider:
                assert await provider.verifier(headers)(b"{}") is True
        async with fal(server, user_id="user-2") as provider:
            with pytest.raises(BadSignature):
                await provider.verifier(headers)(b"{}")
    assert "authorization" not in server.calls[0].headers
