"""New connections, taken as they come.

uvloop takes one in each turn of its loop (https://github.com/libuv/libuv/pull/3696). While turns
are short that is enough; under load it leaves whoever connects waiting until the load is over.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

import structlog

BURST: Final = 24
"""Connections taken in one turn, at most: their first requests begin together, and the process
keeps the memory of that peak (at 256, 4 KiB more for each of 2,000 streams)."""
RETRY_SECONDS: Final = 1.0
"""How long none is taken after the system has refused to give one."""

log = structlog.get_logger()


class Acceptor:
    """Takes connections from a listening socket from now on, until it is stopped. Made in the loop
    that they are for."""

    def __init__(self, listener: socket.socket, connect: Callable[[], asyncio.Protocol]) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[object]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._begin()

    async def stop(self) -> None:
        """Take no more, and let those come to their protocols that have just been taken."""
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
                # There are no files left, or no memory. The listener stays readable: without a
                # pause the loop would do nothing but ask again.
                log.error("no connection can be taken", exc_info=error)
                self._loop.remove_reader(self._listener)
                self._retry = self._loop.call_later(RETRY_SECONDS, self._begin)
                return
            connection.setblocking(False)
            task = self._loop.create_task(
                self._loop.connect_accepted_socket(self._connect, connection)
            )
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
