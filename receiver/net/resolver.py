"""Resolves host names in threads of its own.

`getaddrinfo` blocks, cannot be cancelled, and takes tens of seconds for a name whose servers are
dead. In the event loop's own pool, a few such names would delay every other use of it. Here no
caller waits longer than `timeout`; the thread of an abandoned lookup goes on, and holds its slot,
until the system gives up. There are enough slots for all callers to meet dead names all the time.

The threads are daemons: those of a `ThreadPoolExecutor` are joined when the process exits, and a
dead name would delay that too.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import islice

IPAddress = IPv4Address | IPv6Address

Lookup = Callable[[str], Sequence[IPAddress]]
"""Blocks and returns the addresses of a name. An `OSError` (such as `gaierror`) means none."""

MAX_ADDRESSES = 64
"""Maximum number of a name's addresses that are used. A DNS answer has room for thousands, and each
is checked in the event loop."""


class Resolver:
    """Resolves names for one event loop."""

    def __init__(
        self, lookup: Lookup | None = None, *, timeout: float = 5.0, slots: int = 512
    ) -> None:
        """`timeout` is in seconds; `slots` is the maximum number of threads."""
        self._lookup = lookup or _system_lookup
        self._timeout = timeout
        self._slots = asyncio.Semaphore(slots)

    async def resolve(self, host: str) -> Sequence[IPAddress]:
        """The addresses of `host` in the system's order of preference, at most `MAX_ADDRESSES`;
        empty if there are none, or the lookup took too long. If it is an address itself, that one,
        without a lookup."""
        with suppress(ValueError):
            return [ip_address(host)]
        try:
            async with asyncio.timeout(self._timeout):
                await self._slots.acquire()
                return await self._begin(host)
        except TimeoutError:
            return ()

    def _begin(self, host: str) -> asyncio.Future[Sequence[IPAddress]]:
        """Look the name up in a thread, which releases its slot in the end."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Sequence[IPAddress]] = loop.create_future()

        def finish(addresses: Sequence[IPAddress]) -> None:
            self._slots.release()
            if not found.done():
                found.set_result(addresses)

        def run() -> None:
            addresses: Sequence[IPAddress] = ()
            try:
                with suppress(OSError):
                    addresses = self._lookup(host)
            finally:
                with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                    loop.call_soon_threadsafe(finish, addresses)

        try:
            threading.Thread(target=run, name=f"resolve {host}", daemon=True).start()
        except RuntimeError:  # the system cannot start another thread
            finish(())
        return found


def _system_lookup(host: str) -> Sequence[IPAddress]:
    # As bytes: text would go through Python's IDNA codec, which raises UnicodeError.
    found = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
    texts = dict.fromkeys(sockaddr[0] for *_, sockaddr in found)
    return tuple(map(ip_address, islice(texts, MAX_ADDRESSES)))
