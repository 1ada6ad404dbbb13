"""The pool of connections, and the threads that use it.

Batches, other writes for clients, other writes and reads have threads of their own, so none of them
waits for all of the others. There are as many connections as threads.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from store.errors import StoreBusy, StoreUnavailable
from store.postgres.address import Address
from store.postgres.connection import options
from store.postgres.failures import is_collision, is_lost, to_store_error
from store.postgres.receive_timeout import ConnectionWithTimeout
from store.writer import MAX_WAITING

T = TypeVar("T")

THREADS = 3
"""How many threads each kind of call has."""

ACQUIRE_TIMEOUT = 1.5
"""Seconds to wait for a connection, while the server cannot be reached."""

RECONNECT_SECONDS = 2.0
"""How long the pool retries by itself to replace a lost connection. After that, each call starts a
new attempt, so calls recover as soon as an outage ends, however long it was."""

TRIES = 3
"""How often a call is tried that collides with another one, or loses its connection."""


class Pool:
    """Calls functions with a connection. Blocking; `open` it first."""

    def __init__(self, address: Address) -> None:
        self._pool = ConnectionPool(
            address.conninfo,
            connection_class=ConnectionWithTimeout,
            kwargs=options(address),
            min_size=1,
            max_size=4 * THREADS,  # four kinds
            timeout=ACQUIRE_TIMEOUT,
            reconnect_timeout=RECONNECT_SECONDS,
            name="receiver",
            open=False,
        )
        self.open, self.close = self._pool.open, self._pool.close

    def run(self, call: Callable[[psycopg.Connection], T]) -> T:
        """Return what `call` returns. It is repeated after a collision with another transaction,
        and when the connection is lost: a caller that commits has to raise `OutcomeUnknown` for a
        commit that may have happened. Raises `StoreUnavailable`, and what `call` raises."""
        tries = 1
        while True:
            try:
                with self._pool.connection() as connection:
                    return call(connection)
            except PoolTimeout as error:
                raise StoreUnavailable("PostgreSQL cannot be reached") from error
            except psycopg.Error as error:
                lost = is_lost(error)
                if tries == TRIES or not (lost or is_collision(error)):
                    raise (to_store_error(error) or error) from error
                if lost:
                    self._pool.check()  # the other connections may be lost too
            tries += 1


class Threads:
    """Threads that run blocking calls, in the order of their arrival."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(THREADS, name)
        self._closed = False
        self._unfinished = 0
        """Calls that are waiting or running."""

    @property
    def waiting(self) -> int:
        """Calls that wait for a thread."""
        return max(0, self._unfinished - THREADS)

    @property
    def full(self) -> bool:
        return self.waiting >= MAX_WAITING

    def run(self, call: Callable[[], T]) -> Awaitable[T]:
        """Run a call, whether or not the caller is cancelled. Raises `StoreBusy` at once."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self.full:
            raise StoreBusy(f"{self.waiting} calls are waiting for PostgreSQL")
        self._unfinished += 1
        running = asyncio.get_running_loop().run_in_executor(self._executor, call)
        running.add_done_callback(self._on_end)
        return asyncio.shield(running)

    async def close(self) -> None:
        """Finish the waiting calls."""
        self._closed = True
        await asyncio.to_thread(self._executor.shutdown)

    def _on_end(self, _: object) -> None:
        self._unfinished -= 1
