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


async def test_a_name_is_looked_up_once_until_a_connection_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names: list[Any] = []

    def noted(host: Any, *given: Any, **more: Any) -> Any:
        names.append(host)
        return [(0, 0, 0, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", noted)
    async with faulty_server(answer(200, b"{}")) as server:
        client = HttpClient(f"http://provider.example:{server.port}", {})
        for _ in range(2):
            await client.send_once("POST", "/", {}, TIMEOUT)
        assert names == [b"provider.example"]
    for _ in range(2):
        with pytest.raises(NoAnswer, match="could not connect"):
            await client.send_once("POST", "/", {}, TIMEOUT)
    assert names == [b"provider.example"] * 2
