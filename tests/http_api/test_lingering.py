"""A body that is refused before its end: the client sees the answer, and the rest is not read for
long."""

import asyncio
from collections import deque
from typing import Any

import pytest
from starlette.responses import Response

from receiver.http_api.lingering import LINGER_BYTES, Lingering
from tests.http_api.raw_http import RawConnection, raw_connection, request_bytes, sending
from tests.simulation.client import scope
from tests.support.documented import assert_problem
from tests.support.service import RunningService

CHUNK = b"10000\r\n" + b" " * 65_536 + b"\r\n"
CHUNKED = {"Transfer_Encoding": "chunked"}
CLOSE = {"Connection": "close"}
GZIP = {"Content_Encoding": "gzip"}
HUGE = {"Content_Length": "9999999999"}
START = {"type": "http.response.start", "status": 200}
END = {"type": "http.response.body"}


class Sender:
    """The client's side of one request, whose body comes in pieces of 1 MiB. After the last that
    comes, it is silent."""

    def __init__(self, come: float, of: float) -> None:
        self._come, self._of = come, of
        self.taken = 0
        self.sent: deque[Any] = deque()
        self.taken_at_answer = 0

    async def receive(self) -> dict[str, Any]:
        if self.taken >= self._come:
            await asyncio.Event().wait()
        self.taken += 1
        more = self.taken < self._of
        return {"type": "http.request", "body": b" " * 1024 * 1024, "more_body": more}

    async def send(self, message: Any) -> None:
        if not self.sent:
            self.taken_at_answer = self.taken
        self.sent.append(message)


async def refuse(sender: Sender, headers: dict[str, str], seconds: float = 60) -> dict[str, str]:
    """The headers of the response by an application that reads nothing."""
    given = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    request = scope("POST", "/", given)
    await Lingering(Response("no", 413), seconds)(request, sender.receive, sender.send)
    start, *bodies = sender.sent
    assert b"".join(each.get("body", b"") for each in bodies) == b"no"
    assert not bodies[-1].get("more_body")
    return {name.decode(): value.decode() for name, value in start["headers"]}


@pytest.mark.parametrize("headers", [CHUNKED, HUGE, CHUNKED | CLOSE, HUGE | CLOSE])
async def test_a_client_that_sends_on_is_read_up_to_a_limit(headers: dict[str, str]) -> None:
    sender = Sender(1_000, 1_000)
    answer = await refuse(sender, headers)
    assert answer["connection"] == "close"
    assert sender.taken_at_answer == 0, "it answers first"
    assert sender.taken == LINGER_BYTES // 1024**2 + 1


async def test_a_silent_client_is_waited_for_as_long_as_given() -> None:
    sender = Sender(2, 1_000)
    await refuse(sender, CHUNKED, seconds=0)
    assert len(sender.sent) == 3


async def test_the_end_of_the_body_ends_the_wait() -> None:
    sender = Sender(3, 3)
    await refuse(sender, CHUNKED)
    assert sender.taken == 3


async def test_a_connection_that_goes_on_is_left_to_the_server() -> None:
    sender = Sender(3, 3)
    assert "connection" not in await refuse(sender, {"Content_Length": str(LINGER_BYTES)})
    assert sender.taken == 0
    assert len(sender.sent) == 2


async def test_a_body_that_was_read_changes_nothing() -> None:
    async def echo(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        await send(END)

    sender = Sender(1, 1)
    await Lingering(echo)(scope("POST", "/", CLOSE | CHUNKED), sender.receive, sender.send)
    assert [*sender.sent] == [START, END]


# --- real connections -----------------------------------------------------------------------------


async def refused(connection: RawConnection, service: RunningService, **headers: str) -> None:
    given = {"API_KEY": await service.key()} | headers
    await connection.send(request_bytes("POST", "/v1/jobs", b"", **given))


@pytest.mark.parametrize("close", [{}, CLOSE], ids=["keep", "close"])
@pytest.mark.parametrize(
    ("headers", "piece", "status", "code"),
    [
        (HUGE, b" " * 65_536, 413, "body_too_large"),
        (CHUNKED, CHUNK, 413, "body_too_large"),
        (GZIP | HUGE, b" " * 65_536, 415, "unsupported_content_encoding"),
        (GZIP | CHUNKED, CHUNK, 415, "unsupported_content_encoding"),
    ],
)
async def test_a_client_that_sends_for_ever_sees_the_answer(
    shared_service: RunningService,
    headers: dict[str, str],
    piece: bytes,
    status: int,
    code: str,
    close: dict[str, str],
) -> None:
    async with raw_connection(shared_service.url) as connection:
        await refused(connection, shared_service, **headers, **close)
        async with sending(connection, piece):
            assert_problem(await connection.answer(), status, code)
            assert await connection.ended()


async def test_a_client_that_sends_nothing_or_slowly_has_the_answer_at_once(
    shared_service: RunningService,
) -> None:
    for pause in (0.05, 60):
        async with raw_connection(shared_service.url) as connection:
            await refused(connection, shared_service, **HUGE, **CLOSE)
            async with sending(connection, b" ", pause):
                assert_problem(await connection.answer(), 413, "body_too_large")


async def test_a_client_that_reads_nothing_until_it_is_closed_gets_the_answer(
    shared_service: RunningService,
) -> None:
    async with raw_connection(shared_service.url) as connection:
        with connection.deaf():
            await refused(connection, shared_service, **HUGE, **CLOSE)
            await connection.send(b" " * 4 * 1024 * 1024)
        assert_problem(await connection.answer(), 413, "body_too_large")
        assert await connection.ended()
