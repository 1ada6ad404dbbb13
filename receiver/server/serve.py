"""An HTTP server inside a running event loop, for the service, the sandbox and the tests."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, cast

from uvicorn import Config
from uvicorn.server import ServerState

from receiver.server.buffer_limiter import WriteBufferLimiter
from receiver.server.connection import GuardedConnection, watch_connections
from receiver.server.listener import Acceptor
from receiver.server.load_shedding import ASGIApp, LoadShedder

_BACKLOG: Final = 4096
"""The listen backlog: Linux's default maximum (`net.core.somaxconn`)."""
_KEEP_ALIVE_SECONDS: Final = 75
"""Longer than most clients and proxies keep an idle connection, so that they close it first."""
_CANCEL_DELAY_SECONDS: Final = 1.0
"""Seconds from the cut of a connection until its request, if it still runs, is cancelled."""
_CHECK_SECONDS: Final = 0.002
"""Pause between two checks for open connections at shutdown."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        OSError: the port is in use, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With an explicit IPPROTO_TCP, which `socket.create_server` leaves out: asyncio disables
    # Nagle's algorithm only then, and each response on a kept connection would take 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def origin(listener: socket.socket) -> str:
    """A listening socket's URL on this machine, such as `http://127.0.0.1:41234`."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def serving(
    app: ASGIApp,
    listener: socket.socket,
    *,
    grace: float = 0.5,
    load_shedder: LoadShedder | None = None,
) -> AsyncIterator[None]:
    """Serve `app`, without a lifespan, on `listener` until the block ends; then close it.

    `load_shedder`, if given, decides which requests are admitted, and when they start. Signals are
    left to the caller: of uvicorn, only the connections are used, and not its `Server`, which would
    install handlers. At the end, requests under way get `grace` seconds; then their connections are
    cut, which the application sees as a client disconnect.
    """
    config = Config(
        app if load_shedder is None else load_shedder.paced(app),
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )
    config.load()
    state = ServerState()
    # All connections are made by the acceptor below, so they are of this type.
    connections = cast("set[GuardedConnection]", state.connections)
    buffer_limiter = WriteBufferLimiter(connections)
    acceptor = Acceptor(
        listener, partial(GuardedConnection, config, state, buffer_limiter, load_shedder)
    )
    watching = asyncio.create_task(watch_connections(state, buffer_limiter))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await acceptor.stop()
        cut_timer = asyncio.get_running_loop().call_later(grace, _cut_connections, state)
        try:
            await _shut_down(state, listener, grace + _CANCEL_DELAY_SECONDS)
        finally:
            cut_timer.cancel()
            # In case the shutdown was interrupted: the remaining clients would wait for ever.
            _cut_connections(state)
        await asyncio.sleep(0)  # cut connections close in the next event-loop iteration


async def _shut_down(state: ServerState, listener: socket.socket, timeout: float) -> None:
    """Let the connections end. After `timeout` seconds, requests that still run are cancelled."""
    listener.close()
    for connection in list(state.connections):
        connection.shutdown()
    try:
        async with asyncio.timeout(timeout):
            while state.connections or state.tasks:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(_CHECK_SECONDS)
    except TimeoutError:
        for task in list(state.tasks):
            task.cancel()


def _cut_connections(state: ServerState) -> None:
    for connection in list(state.connections):
        connection.transport.abort()
