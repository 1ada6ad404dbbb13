"""The client's calls, to a real service and to servers that are not the service."""

import asyncio
import json
import pickle
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import httpx
import pytest

from receiver.client import (
    ApiError,
    AsyncClient,
    ClientError,
    Fault,
    Unreachable,
    UnreadableAnswer,
)
from tests.client.conftest import OURS, no_sleep
from tests.providers.faulty_server import (
    Behaviour,
    answer,
    close_at_once,
    faulty_server,
    refused_url,
)
from tests.support.service import JOB, MOVIE, TIMEOUT, RunningService


@asynccontextmanager
async def client_of(behaviour: Behaviour) -> AsyncIterator[AsyncClient]:
    async with faulty_server(behaviour) as server, AsyncClient(server.url, "key") as client:
        yield client


async def refusal_of(behaviour: Behaviour) -> ApiError:
    """The error that a client raises if its server behaves like this."""
    async with client_of(behaviour) as client:
        with pytest.raises(ApiError) as caught:
            await client.list()
    return caught.value


# --- calls ----------------------------------------------------------------------------------------


async def test_a_job_is_submitted_awaited_and_read(
    shared_service: RunningService, client: AsyncClient, request: pytest.FixtureRequest
) -> None:
    submitted = await client.submit(JOB | {"metadata": {"film": "1"}}, wait=0)
    assert (submitted["status"], submitted["user"]) == ("PENDING", request.node.name)
    assert submitted["metadata"] == {"film": "1"}
    job = await client.wait(submitted["request_id"], timeout=TIMEOUT)
    assert (job["status"], job["done"], job["progress"], job["error"]) == (
        *("COMPLETED", True, 100, None),
    )
    detail = await client.get(job["request_id"])
    assert detail == {**job, "input": MOVIE}
    raw = await (await shared_service.user(job["user"])).get(f"/v1/jobs/{job['request_id']}")
    assert detail == raw.json()

    history = await client.history(job["request_id"])
    assert {line["type"] for line in history} >= {"event", "callback"}
    assert [line["at"] for line in history] == sorted(line["at"] for line in history)


async def test_lists_have_pages_and_filters(client: AsyncClient) -> None:
    jobs = [await client.submit(JOB | {"metadata": {"n": str(n)}}) for n in range(3)]
    page = await client.list(limit=2)
    rest = await client.list(limit=2, cursor=page["next_cursor"])
    assert [job["request_id"] for job in (*page["jobs"], *rest["jobs"])] == [
        job["request_id"] for job in reversed(jobs)
    ]
    assert rest["next_cursor"] is None
    by_metadata = await client.list(metadata={"n": "1"})
    first, last = (datetime.fromisoformat(jobs[n]["created_at"]) for n in (0, 2))
    by_time = await client.list(created_after=first, created_before=last)
    for found in (by_metadata, by_time):
        assert [job["metadata"] for job in found["jobs"]] == [{"n": "1"}]


async def test_a_job_is_cancelled_once(endless: RunningService) -> None:
    async with AsyncClient(endless.url, await endless.key()) as client:
        job = await client.submit(JOB)
        with pytest.raises(TimeoutError):
            await client.wait(job["request_id"], timeout=0.05)
        cancelled = await client.cancel(job["request_id"])
        assert cancelled["error"] is not None
        assert (cancelled["status"], cancelled["error"]["code"]) == (
            *("CANCELLED", "canceled_by_user"),
        )
        with pytest.raises(ApiError) as refused:
            await client.cancel(job["request_id"])
        assert (refused.value.status, refused.value.code) == (409, "job_finished")


async def test_more_streams_than_usual_connections_hold_up_no_call(endless: RunningService) -> None:
    async with AsyncClient(endless.url, await endless.key("many"), timeout=10) as client:
        job = await client.submit(JOB)
        waits = [asyncio.ensure_future(client.wait(job["request_id"])) for _ in range(101)]
        done, streaming = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        (refused,) = [each.exception() for each in done]
        assert isinstance(refused, ApiError)
        assert (refused.code, len(streaming)) == ("too_many_streams", 100)
        assert (await client.get(job["request_id"]))["done"] is False
        for each in waits:
            each.cancel()
        await asyncio.wait(waits)


# --- errors ---------------------------------------------------------------------------------------


async def test_an_api_error_has_all_members_of_the_problem(client: AsyncClient) -> None:
    with pytest.raises(ApiError) as caught:
        await client.submit(JOB | {"input": MOVIE | {"prompt": "", "duration": 121}})
    error = caught.value
    assert (error.status, error.code, str(error)) == (400, "invalid_request", "Prompt is required")
    assert error.faults == (
        Fault("/input/prompt", "Prompt is required"),
        Fault("/input/duration", "Duration is too long"),
    )
    assert error.request_id


@pytest.mark.parametrize(
    ("errors", "faults"),
    [
        *((each, ()) for each in (["boom"], "boom", {"a": 1}, [{"pointer": "/a"}], [None], 7)),
        ([{"pointer": "/a", "detail": "b", "new": 1}], (Fault("/a", "b"),)),
    ],
)
async def test_what_a_newer_service_adds_and_errors_of_another_form_are_ignored(
    errors: object, faults: tuple[Fault, ...]
) -> None:
    problem = {"code": "invalid_request", "detail": "?", "errors": errors, "new": 1}
    error = await refusal_of(answer(400, json.dumps(problem).encode(), OURS))
    assert (error.code, error.faults) == ("invalid_request", faults)


UNKNOWN_IDS = ("job_00000000000000000000000000", "../jobs", "a?b#c", "", ".", "..", "\ud800")


@pytest.mark.parametrize("job_id", UNKNOWN_IDS)
async def test_an_unknown_id_is_404(client: AsyncClient, job_id: str) -> None:
    with pytest.raises(ApiError) as caught:
        await client.history(job_id)
    assert caught.value.status == 404


async def test_a_key_s_line_break_and_the_scheme_s_case_do_not_matter(
    shared_service: RunningService,
) -> None:
    url = shared_service.url.replace("http", "HTTP")
    async with AsyncClient(url, f"{await shared_service.key()}\n") as client:
        await client.list()


@pytest.mark.parametrize("key", ["", "rk_a b", "rk_a\nb", "rk_é"])
async def test_a_key_that_no_header_can_have_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match=r"^an API key must be visible ASCII without spaces$"):
        AsyncClient("http://127.0.0.1:1", key)


@pytest.mark.parametrize(
    "url", ["", "example.com", "127.0.0.1:8000", "ftp://x", "http://x:port", "http://999.1.1.1"]
)
async def test_a_url_that_is_not_http_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"^the service's URL "):
        AsyncClient(url, "key")


async def test_a_time_without_a_zone_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        with monkeypatch.context() as patch:
            patch.setenv("TZ", "Asia/Tokyo")
            time.tzset()
            async with (
                faulty_server(answer(200, b'{"jobs": []}', OURS)) as server,
                AsyncClient(server.url, "key") as client,
            ):
                await client.list(created_after=datetime.fromisoformat("2026-11-29T09:00"))
    finally:
        time.tzset()
    assert "created_after=2026-11-29T09%3A00%3A00%2B09%3A00 " in server.heads[0]


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:1", "nonsense://127.0.0.1:1", "nonsense:port"]
)
async def test_a_proxy_that_cannot_be_used_is_named(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ClientError, match=r"proxy in .* ALL_PROXY cannot be used: "):
        AsyncClient("http://example.com", "key")


async def test_certificates_that_cannot_be_read_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    monkeypatch.setattr(  # these tests reuse a context
        "httpx._transports.default.create_ssl_context", httpx.create_ssl_context
    )
    with pytest.raises(ClientError, match=r"certificates in SSL_CERT_FILE .* cannot be read: "):
        AsyncClient("https://example.com", "key")


async def test_an_api_error_can_be_pickled() -> None:
    error = ApiError(400, "invalid_request", "no", (Fault("/a", "b"),), "id", 7.0)
    error.add_note("The job may exist.")
    copy = pickle.loads(pickle.dumps(error))
    assert vars(copy) == vars(error)
    assert str(copy) == "no"


async def test_a_refused_connection_is_unreachable() -> None:
    async with AsyncClient(refused_url(), "key", sleep=no_sleep) as client:
        with pytest.raises(Unreachable, match="no answer from http://127"):
            await client.list()
        with pytest.raises(Unreachable) as caught:
            await client.submit(JOB)
        assert not hasattr(caught.value, "__notes__")
        with pytest.raises(Unreachable):
            await client.wait("job_x")


async def test_an_error_shows_the_url_without_its_password() -> None:
    """A proxy in front of the service may ask for one."""
    for behaviour in (close_at_once, answer(200, b"<p>Hello")):
        async with faulty_server(behaviour) as server:
            url = server.url.replace("http://", "http://ann:hunter2@")
            async with AsyncClient(url, "key") as client:
                with pytest.raises(ClientError) as caught:
                    await client.list()
        assert server.url.rstrip("/") in str(caught.value)
        assert "ann" not in str(caught.value)


async def test_a_request_that_is_too_long_to_send_is_a_client_error(client: AsyncClient) -> None:
    for call in (client.get("x" * 70_000), anext(client.watch("x" * 70_000))):
        with pytest.raises(ClientError, match="the request cannot be sent: URL too long"):
            await call


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (502, b"<html>Bad gateway</html>"),
        (503, b'["no", "object"]'),
        (500, b'{"code": 7, "detail": null, "errors": [1, {"pointer": 2}]}'),
        (500, b"[" * 100_000),
        (302, b""),
    ],
)
async def test_an_error_response_of_a_proxy_is_an_api_error(status: int, body: bytes) -> None:
    error = await refusal_of(answer(status, body, {"Retry-After": "7"}))
    assert (error.status, error.code, error.retry_after) == (status, "http_error", 7.0)
    assert str(error).startswith(str(status))


@pytest.mark.parametrize("header", ["Wed, 21 Oct 2026 07:28:00 GMT", "nan", "-1", "inf", ""])
async def test_a_retry_after_that_is_no_number_is_ignored(header: str) -> None:
    assert (await refusal_of(answer(503, b"{}", {"Retry-After": header}))).retry_after is None


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"jobs": [], "next_cursor": null}', {}),
        (b"<html>", OURS),
        (b"[]", OURS),
        (b"[" * 100_000, OURS),
    ],
)
async def test_a_success_of_another_server_is_unreadable(
    body: bytes, headers: dict[str, str]
) -> None:
    async with client_of(answer(200, body, headers)) as client:
        with pytest.raises(UnreadableAnswer):
            await client.list()


CALLS: list[Callable[[AsyncClient], Awaitable[object]]] = [
    lambda client: client.submit({}),
    lambda client: client.get("job_x"),
    lambda client: client.list(),
    lambda client: client.history("job_x"),
    lambda client: client.cancel("job_x"),
    lambda client: client.deliveries(),
    lambda client: client.delivery("msg_x"),
    lambda client: client.retry("msg_x"),
    lambda client: client.retry_all("exhausted"),
    lambda client: client.test_webhook("https://example.com"),
]


@pytest.mark.parametrize("call", CALLS)
async def test_another_service_s_document_is_unreadable(
    call: Callable[[AsyncClient], Awaitable[object]],
) -> None:
    """Others may send X-Request-ID too."""
    async with (
        faulty_server(answer(200, b'{"request_id": "job_x"}', OURS)) as server,
        AsyncClient(server.url, "key", sleep=no_sleep) as client,
    ):
        with pytest.raises(UnreadableAnswer, match="does not answer like the service"):
            await call(client)


async def test_a_truncated_response_is_unreachable() -> None:
    async with client_of(answer(200, b'{"jobs": []', length=100)) as client:
        with pytest.raises(Unreachable):
            await client.list()
