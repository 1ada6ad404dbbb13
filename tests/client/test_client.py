"""The client's calls, to a real service and to servers that are not the service."""

import asyncio
from datetime import datetime

import pytest

from receiver.client import (
    ApiError,
    AsyncClient,
    ClientError,
    Fault,
    Unreachable,
)
from tests.client.conftest import no_sleep
from tests.providers.faulty_server import (
    Behaviour,
    answer,
    close_at_once,
    faulty_server,
    refused_url,
)
from tests.support.service import JOB, MOVIE, TIMEOUT, RunningService


async def refusal_of(behaviour: Behaviour) -> ApiError:
    """The error that a client raises if its server behaves like this."""
    async with faulty_server(behaviour) as server, AsyncClient(server.url, "key") as client:
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
    assert detail == {**job, "input": MOVIE, "waiting": None}
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


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (502, b"<html>Bad gateway</html>"),
        (503, b'["no", "object"]'),
        (500, b'{"code": 7, "detail": null}'),
        (500, b"[" * 100_000),
        (302, b""),
        *((200, body) for body in (b"<html>", b"[]", b"[" * 100_000)),
    ],
)
async def test_an_answer_of_another_server_is_an_api_error(status: int, body: bytes) -> None:
    error = await refusal_of(answer(status, body))
    assert (error.status, error.code) == (status, "http_error")
    assert str(status) in str(error)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        *((bad, None) for bad in ("Wed, 21 Oct 2026 07:28:00 GMT", "nan", "-1", "inf", "")),
    ],
)
async def test_a_retry_after_that_is_no_number_is_ignored(
    header: str, seconds: float | None
) -> None:
    assert (await refusal_of(answer(503, b"{}", {"Retry-After": header}))).retry_after == seconds
