"""An HTTP server inside a running event loop, for the service, the sandbox and the tests."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from email.utils import formatdate
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import structlog
import uvicorn
from uvicorn.server import ServerState

from receiver.server import private

if TYPE_CHECKING:
    from receiver.server.connection import GuardedConnection

log = structlog.get_logger()

ASGIApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

CLIENT_SECONDS: Final = 75
"""How long a client may take for a whole head (or for the rest of a body that was refused), keep an
idle connection, or read nothing of what was sent to it. Most clients and proxies close an idle
connection sooner, so they do not send a request just as it is closed here."""
MAX_FILES: Final = 65_536
"""Open files, of which connections take at most half: the database, calls to providers and webhooks
need some too."""
MAX_UNREAD: Final = 128 * 1024 * 1024
"""Bytes buffered for all clients together; beyond them, some are cut off."""
_RECEIVE_BUFFER: Final = 16 * 1024
"""Bytes that the kernel keeps of a connection until they are read, and about the most that is read
at once. By default it grows to megabytes, for fast clients far away; ours is the TLS proxy."""
_CHECK_SECONDS: Final = 1.0
"""Pause between two checks of all connections, and so the precision of the limits."""
_CLOSING_CHECK_SECONDS: Final = 0.005
"""Pause between two checks for open connections at shutdown."""


def allow_many_connections() -> None:
    """Raise this process's limit on open files as far as the system allows, up to `MAX_FILES`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        OSError: the port is in use, or the address is not this machine's.
    """
    is_ipv6 = ":" in host
    listener = socket.create_server(
        (host, port),
        family=socket.AF_INET6 if is_ipv6 else socket.AF_INET,
        backlog=socket.SOMAXCONN,
        dualstack_ipv6=is_ipv6,
    )
    # Connections inherit these. asyncio disables Nagle's algorithm only for sockets that name TCP.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        timeout = CLIENT_SECONDS * 1_000
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout)
    return listener


def origin(listener: socket.socket) -> str:
    """A listening socket's URL on this machine, such as `http://127.0.0.1:41234`."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def serving(
    app: ASGIApp, listener: socket.socket, *, grace: float = 0.5
) -> AsyncIterator[None]:
    """Serve `app`, without a lifespan, on `listener` until the block ends; then close it.

    At the end, requests under way get `grace` seconds; then they are cancelled.
    """
    config = uvicorn.Config(
        app,
        interface="asgi3",
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=CLIENT_SECONDS,
        timeout_graceful_shutdown=ceil(grace),
    )
    if missing := private.missing():
        log.warning(
            "this version of uvicorn lacks what the limits on connections need: they are off",
            uvicorn=uvicorn.__version__,
            missing=", ".join(missing),
        )
        running = _serving_plainly(config, listener)
    else:
        running = _serving_guarded(config, listener, grace)
    async with running:
        yield


class _Server(uvicorn.Server):
    """Leaves the signals to the service."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def _serving_plainly(config: uvicorn.Config, listener: socket.socket) -> AsyncIterator[None]:
    config.http = "h11"  # httptools would drop the body of a request that offers h2c
    server = _Server(config)
    running = asyncio.create_task(server.serve([listener]))
    try:
        yield  # the socket listens already
    finally:
        server.should_exit = True
        await running


@asynccontextmanager
async def _serving_guarded(
    config: uvicorn.Config, listener: socket.socket, grace: float
) -> AsyncIterator[None]:
    """Of uvicorn, only the connections are used, and not its `Server`, which takes a tenth of a
    second to end. After `grace` seconds, connections are cut."""
    # Its import fails with a uvicorn that has moved what it extends.
    from receiver.server.connection import AT_ONCE, GuardedConnection, Readers

    config.load()
    state = ServerState()
    # All connections are made by the server below, so they are of this type.
    connections = cast("set[GuardedConnection]", state.connections)
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    factory = partial(GuardedConnection, config, state, Readers(), files // 2)
    loop = asyncio.get_running_loop()
    # uvloop accepts one connection of a listening socket in each iteration of the event loop
    # (https://github.com/libuv/libuv/pull/3696): new clients would wait behind a rush of others.
    servers = [
        await loop.create_server(factory, sock=listener.dup(), backlog=socket.SOMAXCONN)
        for _ in range(AT_ONCE)
    ]
    watching = asyncio.create_task(_watch(state, connections))
    try:
        yield
    finally:
        watching.cancel()
        for server in servers:
            loop.remove_reader(server.sockets[0])
        await asyncio.sleep(0)  # asyncio forgets, unclosed, what it accepts right before `close`
        for server in servers:
            server.close()
        listener.close()
        try:
            await _finish(state, connections, grace)
        finally:  # also if that is interrupted: the remaining clients would wait for ever
            for connection in list(connections):
                connection.transport.abort()
            for task in list(state.tasks):
                task.cancel()
            # In the meantime the cut connections close.
            await asyncio.gather(asyncio.sleep(0), *state.tasks, return_exceptions=True)


async def _finish(state: ServerState, connections: "set[GuardedConnection]", grace: float) -> None:
    """Wait for the requests under way, at most `grace` seconds."""
    await asyncio.sleep(_CLOSING_CHECK_SECONDS)  # the connections accepted last are made
    with suppress(TimeoutError):
        async with asyncio.timeout(grace):
            while connections or state.tasks:
                for connection in list(connections):
                    connection.shutdown()
                await asyncio.sleep(_CLOSING_CHECK_SECONDS)


async def _watch(state: ServerState, connections: "set[GuardedConnection]") -> None:
    """Close connections that exceed a limit, and keep the `Date` of responses right. Checking all
    of them periodically is cheaper than a timer for each request."""
    loop = asyncio.get_running_loop()
    unread: dict[GuardedConnection, int] = {}
    while True:
        state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        await asyncio.sleep(_CHECK_SECONDS)
        for connection in list(connections):
            since = connection.head_awaited_since
            if since is not None and loop.time() - since > CLIENT_SECONDS:
                connection.transport.close()
        unread = _cut_unread(connections, unread)


def _cut_unread(
    connections: "set[GuardedConnection]", before: "dict[GuardedConnection, int]"
) -> "dict[GuardedConnection, int]":
    """If too much is buffered, cut off clients until it is not: first those that have read nothing
    since the check `before`, and among these the ones with the most. Returns what is buffered."""
    sizes = {each: each.transport.get_write_buffer_size() for each in connections}
    excess = sum(sizes.values()) - MAX_UNREAD
    for each in sorted(sizes, key=lambda each: (sizes[each] != before.get(each), -sizes[each])):
        if excess <= 0:
            break
        each.transport.abort()
        excess -= sizes[each]
    return sizes
