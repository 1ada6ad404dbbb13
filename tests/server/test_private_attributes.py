"""What we use of uvicorn and aiosqlite beyond their documents still exists.

Their minor versions are pinned because of these. If an upgrade fails here, first read the code that
replaced the attribute (docs/architecture.md, "Private parts of libraries").
"""

import inspect
import re
from collections.abc import Awaitable, Callable

import aiosqlite
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

METHODS = {"_should_upgrade", "on_response_complete", "send_400_response", "shutdown"}
"""Of a connection, beyond those of `asyncio.Protocol` and httptools' callbacks."""
OF_A_CONNECTION = {"connections", "cycle", "flow", "headers", "parser", "pipeline", "scope"}
OF_A_CONNECTION |= {"loop", "transport", "url"}
OF_A_REQUEST = {"body", "more_body", "response_complete"}


def attributes_set_by(*methods: Callable[..., object]) -> set[str]:
    """The attributes that these methods of a class set on the instance."""
    source = "".join(inspect.getsource(method) for method in methods)
    return set(re.findall(r"self\.(\w+)(?:: [^=\n]+)? = ", source))


def test_uvicorn_has_what_is_used() -> None:
    assert vars(HttpToolsProtocol).keys() >= METHODS
    set_in = (HttpToolsProtocol.__init__, HttpToolsProtocol.on_message_begin)
    assert attributes_set_by(*set_in) >= OF_A_CONNECTION
    assert attributes_set_by(RequestResponseCycle.__init__) >= OF_A_REQUEST
    assert vars(FlowControl).keys() >= {"pause_reading", "resume_reading"}
    assert {"read_paused", "write_paused"} <= attributes_set_by(FlowControl.__init__)
    assert vars(ServerState()).keys() >= {"connections", "default_headers", "tasks"}


async def test_aiosqlite_runs_a_function_on_its_thread() -> None:
    async with aiosqlite.connect(":memory:") as connection:
        execute: Callable[..., Awaitable[int]] = connection._execute
        assert await execute(lambda: 1) == 1
        assert connection._conn.in_transaction is False
