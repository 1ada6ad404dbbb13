"""Large answers are read beside the event loop, which would stand still for seconds."""

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from receiver.domain.answers import Report
from receiver.large_bodies import LARGE
from receiver.upstream.api import Api
from receiver.upstream.calls import MAX_ANSWER_VALUES, read_response
from store.records.jobs import Status
from tests.providers.conformance.subjects import account, closing
from tests.providers.faulty_server import answer, faulty_server


@pytest.mark.parametrize(("size", "apart"), [(LARGE, False), (LARGE + 1, True)])
async def test_large_answers_are_read_in_a_thread(size: int, apart: bool) -> None:
    threads: list[int] = []

    def read_message(_: Mapping[str, Any]) -> str:
        threads.append(threading.get_ident())
        return "No."

    def read(_: Mapping[str, Any]) -> Report:
        threads.append(threading.get_ident())
        return Report(Status.PENDING)

    body = b"{}".ljust(size)
    for behaviour in (answer(200, body), answer(422, body)):
        async with (
            faulty_server(behaviour) as server,
            closing(Api(account(server.url), {}, read_message)) as api,
        ):
            await api.status("status", read)
    assert [each != threading.get_ident() for each in threads] == [apart, apart]


EMPTY = b"[],"
ESCAPED = rb"\""


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"output": [' + b"1," * (MAX_ANSWER_VALUES - 2) + b"1]}", ""),
        (b'{"output": [' + b"1," * (MAX_ANSWER_VALUES - 1) + b"1]}", "is too long"),
        (b'{"output": [' + EMPTY * MAX_ANSWER_VALUES + b"1]}", "is too long"),
        (b'{"logs": "' + b",[{" * MAX_ANSWER_VALUES + b'"}', ""),
        (b'{"logs": "' + ESCAPED + b'",' * MAX_ANSWER_VALUES, "is not JSON"),
        (b'{"logs": "' + ESCAPED * 4 * MAX_ANSWER_VALUES + b"," * MAX_ANSWER_VALUES + b'"}', ""),
        (b'{"logs": "' + ESCAPED * 4 * MAX_ANSWER_VALUES + b"," * MAX_ANSWER_VALUES, "is not JSON"),
    ],
    ids=["many", "too many", "empty ones", "in a text", "odd", "quotes", "a text without an end"],
)
def test_an_answer_of_too_many_values_is_not_parsed(body: bytes, error: str) -> None:
    assert read_response(200, {}, bytearray(body)).body_error == error
