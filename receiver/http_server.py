"""A real HTTP server inside a running event loop: the service's own, the sandbox's, and tests'."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final, TypeAlias

import uvicorn

from receiver.http_acceptor import Acceptor
from receiver.http_connection import GuardedConnection, watch_connections
from receiver.http_turnstile import Turnstile

ASGIApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

_BACKLOG: Final = 4096
"""As many connections as Linux lets wait (`net.core.somaxconn`)."""
_KEEP_ALIVE_SECONDS: Final = 75
"""Longer than clients and proxies keep an idle connection, so that they close it and not we."""
_AFTER_THE_CUT: Final = 1.0
"""What a request gets that does not look whether its client has gone; then it is cancelled."""
_LOOKS: Final = (0.001, 0.1)
"""Seconds between looks whether everybody has gone: doubled from the first to the second."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        OSError: the port is in use, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, which `socket.create_server` leaves out: asyncio turns Nagle's algorithm off for
    # no other, and each answer on a kept connection would take 40 ms.
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
    """Where this machine reaches a listening socket, such as `http://127.0.0.1:41234`."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def serving(
    app: ASGIApp,
    listener: socket.socket,
    *,
    grace: float = 0.5,
    turnstile: Turnstile | None = None,
) -> AsyncIterator[None]:
    """Serve `app`, lifespan included, on `listener` until the block is left; then close it.

    Requests have to pass the `turnstile`, where there is one. Signals stay with whoever owns the
    loop: uvicorn's phases run one by one, without its `serve`, which would take them. Requests that
    are under way at the end get `grace` seconds; then their connections are cut, which the
    application sees as a client that has gone.

    Raises:
        RuntimeError: the application's lifespan did not start; uvicorn has logged why.
    """
    config = uvicorn.Config(
        app,
        http=GuardedConnection,
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    try:
        await server.startup(sockets=[])
    except SystemExit as stop:
        raise RuntimeError("the application did not start") from stop
    acceptor = Acceptor(
        listener,
        partial(
            GuardedConnection,
            config,
            server.server_state,
            server.lifespan.state,
            turnstile=turnstile,
        ),
    )
    ticking = asyncio.gather(server.main_loop(), watch_connections(server.server_state.connections))
    try:
        yield
    finally:
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking
        await acceptor.stop()
        cutting = asyncio.get_running_loop().call_later(grace, _cut_connections, server)
        try:
            await _shut_down(server, listener, grace + _AFTER_THE_CUT)
        finally:
            cutting.cancel()
            # For where the shutdown was cut short: a client that nobody serves would wait.
            _cut_connections(server)
        await asyncio.sleep(0)  # what was cut is closed at the loop's next turn


async def _shut_down(server: uvicorn.Server, listener: socket.socket, patience: float) -> None:
    """As uvicorn's own does, whose first look whether everybody has gone comes after 0.1 s."""
    listener.close()
    state = server.server_state
    for connection in list(state.connections):
        connection.shutdown()
    pause, longest = _LOOKS
    try:
        async with asyncio.timeout(patience):
            while state.connections or state.tasks:
                await asyncio.sleep(pause)
                pause = min(2 * pause, longest)
    except TimeoutError:
        for task in list(state.tasks):
            task.cancel()
    await server.lifespan.shutdown()


def _cut_connections(server: uvicorn.Server) -> None:
    for connection in list(server.server_state.connections):
        connection.transport.abort()
