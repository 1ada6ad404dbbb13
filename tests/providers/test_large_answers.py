"""Large answers are read beside the event loop, which would stand still for seconds."""

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from receiver.domain.answers import Report
from receiver.providers.api import Api
from receiver.providers.calls import LARGE
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
