"""The private attributes of uvicorn and aiosqlite that we use still exist.

Their minor versions are pinned because of these. If an upgrade fails here, first read the code that
replaced the attribute (docs/architecture.md, "When you upgrade").
"""

import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Any

import aiosqlite
import pytest
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from receiver.server.connection import GuardedConnection
from receiver.server.pipelining import RequestFlow
from receiver.server.responses import ResponseWriter
from tests.http_api.raw_http import request_bytes
from tests.server.raw_asgi import connected, respond

OVERRIDDEN = """
    _start_asgi_task connection_lost connection_made data_received on_body on_header
    on_headers_complete on_message_begin on_message_complete on_response_complete on_url
    resume_writing
"""
CALLED = ("_unset_keepalive_if_required", "shutdown")
OF_A_CONNECTION = "connections cycle flow headers logger loop parser pipeline scope transport url"
OF_A_REQUEST = """
    disconnected keep_alive message_event response_complete response_started transport
    waiting_for_100_continue
"""


def attributes_set_by(*methods: Callable[..., object]) -> set[str]:
    """The attributes that these methods of a class set on the instance."""
    source = "".join(inspect.getsource(method) for method in methods)
    return set(re.findall(r"self\.(\w+)(?:: [^=\n]+)? = ", source))


def test_uvicorn_calls_what_is_overridden_and_has_what_is_called() -> None:
    for name in (*OVERRIDDEN.split(), *CALLED):
        assert callable(getattr(HttpToolsProtocol, name))
    assert set(OVERRIDDEN.split()) <= set(vars(GuardedConnection))


def test_a_connection_and_a_request_have_the_attributes_that_are_used() -> None:
    connection = attributes_set_by(HttpToolsProtocol.__init__, HttpToolsProtocol.on_message_begin)
    assert connection >= set(OF_A_CONNECTION.split())
    assert attributes_set_by(RequestResponseCycle.__init__) >= set(OF_A_REQUEST.split())


def test_uvicorn_resumes_reading_and_keeps_headers_only_where_we_replace_that() -> None:
    assert {"pause_reading", "resume_reading"} <= vars(FlowControl).keys()
    assert "resume_reading" in vars(RequestFlow)
    source = inspect.getsource(httptools_impl)
    assert set(re.findall(r"(\S+)\.(?:pause|resume)_reading\(", source)) == {"self.flow"}
    assert re.findall(r"self\.headers\.\w+", source) == ["self.headers.append"]
    assert "self.headers.append" in inspect.getsource(HttpToolsProtocol.on_header)


def test_a_server_has_the_attributes_that_are_used() -> None:
    assert {"connections", "default_headers", "tasks"} <= vars(ServerState()).keys()


async def test_aiosqlite_runs_a_function_on_its_thread() -> None:
    async with aiosqlite.connect(":memory:") as connection:
        execute: Callable[..., Awaitable[int]] = connection._execute
        assert await execute(lambda: 1) == 1
        assert connection._conn.in_transaction is False


async def test_uvicorn_writes_a_head_and_its_body_separately(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`ResponseWriter` joins the two: it takes the first write for the head."""
    writes: list[bytes] = []

    class Recording(ResponseWriter):
        __slots__ = ()

        def write(self, data: bytes) -> None:
            writes.append(data)
            super().write(data)

    async def greet(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, b"hello")

    monkeypatch.setattr("receiver.server.connection.ResponseWriter", Recording)
    async with connected(greet) as client:
        assert (await client.ask(request_bytes("GET", "/"))).body == b"hello"
    head, body = writes
    assert head.startswith(b"HTTP/1.1 200 ")
    assert head.endswith(b"\r\n\r\n")
    assert body == b"hello"
