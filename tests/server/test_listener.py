"""Accepting: many connections in one iteration of the event loop, and a pause without file
descriptors."""

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import ExitStack

import pytest
import structlog
import uvloop

from receiver.server import listener as server_listener
from receiver.server.listener import Acceptor
from receiver.server.serve import listen
from tests.support.service import TIMEOUT

WAITING = 50
ITERATIONS = 10
"""Enough iterations to accept many connections at once, but far too few for one at a time."""


class Made(asyncio.Protocol):
    def __init__(self, count: Callable[[asyncio.BaseTransport], object]) -> None:
        self._count = count

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._count(transport)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_waiting_connections_are_accepted_together(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def take_all(listener: socket.socket) -> int:
        made: list[asyncio.BaseTransport] = []
        acceptor = Acceptor(listener, lambda: Made(made.append))
        for _ in range(ITERATIONS):
            await asyncio.sleep(0)
        seen = len(made)
        await acceptor.stop()
        for transport in made:
            transport.close()
        await asyncio.sleep(0.01)
        return seen

    with ExitStack() as stack:
        listener = stack.enter_context(listen("127.0.0.1", 0))
        for _ in range(WAITING):
            stack.enter_context(socket.create_connection(listener.getsockname()))
        with asyncio.Runner(loop_factory=new_loop) as runner:
            assert runner.run(take_all(listener)) == WAITING


class Exhausted(socket.socket):
    """A listener that once gets no file descriptor from the system."""

    refused = False

    def accept(self) -> tuple[socket.socket, object]:
        if not self.refused:
            self.refused = True
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


async def test_accepting_pauses_while_no_file_descriptor_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_listener, "RETRY_SECONDS", 0.01)
    made: asyncio.Queue[asyncio.BaseTransport] = asyncio.Queue()
    with (
        listen("127.0.0.1", 0) as plain,
        Exhausted(fileno=plain.dup().detach()) as listener,
        socket.create_connection(listener.getsockname()),
        structlog.testing.capture_logs() as lines,
    ):
        acceptor = Acceptor(listener, lambda: Made(made.put_nowait))
        transport = await asyncio.wait_for(made.get(), TIMEOUT)
        transport.close()
        await acceptor.stop()
    assert [line["event"] for line in lines] == ["cannot accept connections"]
