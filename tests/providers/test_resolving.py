"""A provider's host name is looked up without delaying other providers."""

import asyncio
import socket
import threading
from contextlib import closing
from typing import Any

import pytest

from receiver.providers.calls import HttpClient, NoAnswer
from tests.providers.faulty_server import answer, faulty_server
from tests.support.service import TIMEOUT


async def test_a_name_whose_servers_are_dead_delays_no_other_provider(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release, look_up = threading.Event(), socket.getaddrinfo

    def slow(host: Any, *given: Any, **more: Any) -> Any:
        if host in ("slow.example", b"slow.example"):
            release.wait(TIMEOUT)
            return []
        return look_up(host, *given, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with closing(HttpClient("http://slow.example", {}, connect_timeout=0.1)) as dead:
        try:
            calls = [dead.ask("/", 1.0) for _ in range(50)]
            failures = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(each) for each in failures} == {NoAnswer}
            async with faulty_server(answer(200, b"{}")) as server:
                url = f"http://localhost:{server.port}"
                with closing(HttpClient(url, {}, connect_timeout=1.0)) as other:
                    assert (await other.ask("/", TIMEOUT)).status_code == 200
        finally:
            release.set()
