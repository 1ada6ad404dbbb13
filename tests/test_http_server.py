"""The server ends in order: nobody who has reached it is left waiting."""

import asyncio
import socket
from contextlib import suppress
from typing import Any

import pytest

from receiver.http_server import listen, serving
from tests.service import PATIENCE


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    """An application that never gets a request."""


@pytest.mark.parametrize("turns", range(8))
async def test_a_connection_that_comes_at_the_end_is_closed(turns: int) -> None:
    """So many turns of the loop after the server is told to stop; in the end nobody listens."""

    async def come() -> socket.socket:
        for _ in range(turns):
            await asyncio.sleep(0)
        return socket.create_connection(address)

    with listen("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        async with serving(_nothing, listener, grace=0):
            coming = asyncio.create_task(come())
    with suppress(ConnectionError), await coming as client:
        client.settimeout(PATIENCE)
        assert client.recv(1) == b""
