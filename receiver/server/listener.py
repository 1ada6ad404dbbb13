"""Accepts new connections, several per event-loop iteration. Limits them by the open files allowed.

uvloop accepts one in each iteration of its loop (https://github.com/libuv/libuv/pull/3696). With
short iterations that is enough; under load, new clients would wait until the load is over.
"""

import asyncio
import resource
import socket
from collections.abc import Callable
from typing import Final

import structlog

BURST: Final = 24
"""Maximum number of connections accepted per iteration. Their first requests start together, and
the process keeps the memory of that peak: at 256, each of 2,000 streams costs 4 KiB more."""
RETRY_SECONDS: Final = 1.0
"""Pause after the system has failed to accept a connection."""

SPARE_FILES: Final = 256
"""Open files reserved for the database, calls to providers, and webhooks; at most half of all."""
MAX_FILES: Final = 65_536

log = structlog.get_logger()


class Acceptor:
    """Accepts connections on a listening socket from creation until it is stopped. Must be created
    in the event loop that serves them."""

    def __init__(self, listener: socket.socket, factory: Callable[[], asyncio.Protocol]) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._factory = factory
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[object]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._begin()

    async def stop(self) -> None:
        """Stop accepting, and wait until the connections accepted last have their protocol."""
        if self._retry is not None:
            self._retry.cancel()
        self._loop.remove_reader(self._listener)
        await asyncio.gather(*self._connecting, return_exceptions=True)

    def _begin(self) -> None:
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(BURST):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # Out of file descriptors or memory. The listener stays readable, so without a pause
                # the event loop would spin.
                log.error("cannot accept connections", exc_info=error)
                self._loop.remove_reader(self._listener)
                self._retry = self._loop.call_later(RETRY_SECONDS, self._begin)
                return
            connection.setblocking(False)
            task = self._loop.create_task(
                self._loop.connect_accepted_socket(self._factory, connection)
            )
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)


def most_connections() -> int:
    """The maximum number of open connections. Further ones are accepted and closed at once."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(files - SPARE_FILES, files // 2)


def allow_many_connections() -> None:
    """Raise this process's limit on open files as far as the system allows, up to `MAX_FILES`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
