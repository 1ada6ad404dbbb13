"""Status calls: each answer of the provider, and of the network, as the poller hears it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from receiver.clock import SystemClock
from receiver.domain.observations import (
    Report,
    StatusAnswer,
    StatusMissing,
    StatusReport,
    StatusUnavailable,
)
from receiver.providers.samsar import Samsar
from store.records import Status
from tests.providers.faulty_server import (
    Behaviour,
    Connection,
    FaultyServer,
    answer,
    close_after_request,
    close_at_once,
    faulty_server,
    http_answer,
    refused_url,
    reset_after_request,
    send_raw,
    stall_after,
)


@asynccontextmanager
async def samsar(base_url: str, **values: Any) -> AsyncIterator[Samsar]:
    provider = Samsar(
        clock=SystemClock(),
        base_url=base_url,
        api_key="key-1",
        image_models=[],
        video_models=[],
        **values,
    )
    try:
        yield provider
    finally:
        await provider.close()


async def ask(
    behaviour: Behaviour, request_id: str = "up-1", **values: Any
) -> tuple[StatusAnswer, FaultyServer]:
    async with (
        faulty_server(behaviour) as server,
        samsar(server.url, **values) as provider,
    ):
        said = await provider.status(request_id)
    return said, server


async def test_a_state_is_reported() -> None:
    said, server = await ask(answer(200, b'{"status": "IN_PROGRESS", "progress": 45}'), "a b/ä&c=1")
    assert said == StatusReport(Report(Status.IN_PROGRESS, "IN_PROGRESS", 45, None, None, None))
    assert server.heads[0].startswith(
        "GET /v1/video/status?request_id=a+b%2F%C3%A4%26c%3D1 HTTP/1.1\r\n"
    )
    assert "\r\nAPI-KEY: key-1\r\n" in server.heads[0]


@pytest.mark.parametrize(
    "body", [b'{"status": "PAUSED"}', b'{"progress": 5}', b'{"result_url": "https://a.example/v"}']
)
async def test_any_news_is_a_report(body: bytes) -> None:
    said, _ = await ask(answer(200, body))
    assert isinstance(said, StatusReport)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"message": "ok"}', b'{"status": 3}', b"NaN"]
)
async def test_a_200_that_says_nothing_is_no_answer(body: bytes) -> None:
    said, _ = await ask(answer(200, body))
    assert isinstance(said, StatusUnavailable)


async def test_404_is_missing() -> None:
    said, _ = await ask(answer(404, b'{"message": "Request not found."}'))
    assert said == StatusMissing("Request not found.")


@pytest.mark.parametrize(("wish", "wait"), [("3", 3_000), ("soon", None)])
async def test_every_answer_can_ask_for_patience(wish: str, wait: int | None) -> None:
    later = {"Retry-After": wish}
    said, _ = await ask(answer(200, b'{"status": "PENDING"}', later))
    assert said == StatusReport(Report(Status.PENDING, "PENDING", None, None, None, None), wait)
    said, _ = await ask(answer(200, b"{}", later))
    assert said == StatusUnavailable("an answer 200 that says nothing of the job", wait)
    said, _ = await ask(answer(200, b"<html>", later))
    assert said == StatusUnavailable("an answer 200 that is no JSON", wait)
    said, _ = await ask(answer(404, b'{"message": "Request not found."}', later))
    assert said == StatusMissing("Request not found.", wait)


@pytest.mark.parametrize("number", [2**63, 10**30, -(10**30), 10**199])
async def test_an_integer_of_any_size_is_an_id_and_every_other_fits_64_bits(number: int) -> None:
    said, _ = await ask(
        answer(200, b'{"request_id": %d, "status": "X", "result": {"n": %d}}' % (number, number))
    )
    assert isinstance(said, StatusReport)
    assert said.report.provider_request_id == str(number)
    assert said.report.result == {"n": float(number)}
    assert isinstance(said.report.result["n"], float)


async def test_an_answer_s_texts_are_cleaned() -> None:
    said, _ = await ask(
        answer(
            200, b'{"status": "A\\ud800", "message": "b\\u0000", "result": {"\\udfff": "\\ud800"}}'
        )
    )
    assert said == StatusReport(
        Report(Status.IN_PROGRESS, "A\ufffd", None, {"\ufffd": "\ufffd"}, "b\ufffd", None)
    )


@pytest.mark.parametrize("status", [401, 403])
async def test_the_operator_s_key_is_refused(status: int) -> None:
    said, _ = await ask(answer(status, b'{"message": "Invalid API key"}'))
    assert said == StatusUnavailable("Invalid API key", by_credentials=True)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_wish_to_wait_is_handed_on(status: int) -> None:
    said, _ = await ask(answer(status, b"", {"Retry-After": "7"}))
    assert said == StatusUnavailable(f"The provider answered {status}.", 7_000)


@pytest.mark.parametrize("status", [201, 204, 302, 400, 402, 500, 502, 504])
async def test_other_answers_are_none(status: int) -> None:
    said, server = await ask(answer(status, b"", {"Location": "/v1/video/elsewhere"}))
    assert said == StatusUnavailable(f"The provider answered {status}.")
    assert server.connections == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        close_at_once,
        close_after_request,
        reset_after_request,
        send_raw(b"no HTTP\r\n"),
        answer(200, b'{"status": "COMPLETED"}', length=500),
    ],
)
async def test_a_broken_exchange_is_no_answer(behaviour: Behaviour) -> None:
    said, _ = await ask(behaviour)
    assert isinstance(said, StatusUnavailable)


async def test_a_refused_connect_is_no_answer() -> None:
    async with samsar(refused_url()) as provider:
        assert isinstance(await provider.status("up-1"), StatusUnavailable)


@pytest.mark.parametrize("raw", [b"", http_answer(200, b'{"status"', length=500)])
async def test_the_whole_call_is_bounded(raw: bytes) -> None:
    said, server = await ask(stall_after(raw), status_timeout=1)
    assert isinstance(said, StatusUnavailable)
    assert "no answer within 1 s" in said.reason
    assert len(server.bodies) == 1


async def test_cancelled_calls_cost_no_place_for_good() -> None:
    """A shared pool would lose one now and then, and in time answer nothing any more."""

    async def answer_late(connection: Connection) -> None:
        await connection.receive()
        await asyncio.sleep(0.01)
        await connection.send(http_answer(200, b'{"status": "PENDING"}'))

    async with (
        faulty_server(answer_late) as server,
        samsar(server.url) as provider,
    ):
        calls = [asyncio.create_task(provider.status("up-1")) for _ in range(150)]
        for index, call in enumerate(calls):
            asyncio.get_running_loop().call_later(index * 0.0004, call.cancel)
        await asyncio.gather(*calls, return_exceptions=True)
        later = await asyncio.gather(*(provider.status("up-1") for _ in range(120)))
    assert all(isinstance(said, StatusReport) for said in later)


async def test_a_cancelled_call_is_cancelled() -> None:
    async with (
        faulty_server(stall_after(b"")) as server,
        samsar(server.url) as provider,
    ):
        call = asyncio.create_task(provider.status("up-1"))
        await server.received.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
