"""Names to IP addresses, in threads that nothing else waits for.

`getaddrinfo` blocks, cannot be cancelled, and takes tens of seconds over a name whose servers are
dead. In the event loop's own pool a few such names would hold up every other user of that pool, so
lookups of users' hosts have threads of their own, and what can be bounded about them is:

- Nobody waits longer than `patience`. The thread of a lookup that was given up goes on until the
  system gives up too, and occupies a slot so long.
- One name has one thread, however many ask for it, also after they gave up.
- There are two lanes, each with slots of its own: names whose last lookup was answered, and all
  others. Dead names can fill the second lane, and so delay names that were never reached before;
  names that work are not touched by it.
- Threads are daemons, so that a lookup under way does not hold up the end of the process (those of
  `ThreadPoolExecutor` are joined at exit).
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from receiver.webhooks.targets import IPAddress

Lookup = Callable[[str], Sequence[IPAddress]]
"""Blocks, and returns the addresses of a name. An `OSError` (`gaierror` is one) means none."""

_REMEMBERED = 4096
"""Names that are known to have been answered; the oldest is forgotten for a new one."""


class NoAddress(Exception):
    """The name has no address, or none was learned in time."""


class Resolver:
    """Resolves names for one event loop."""

    def __init__(
        self, lookup: Lookup | None = None, *, patience: float = 5.0, slots: int = 128
    ) -> None:
        """`patience` is in seconds; `slots` is how many threads each of the two lanes may have."""
        self._lookup = lookup or _system_lookup
        self._patience = patience
        self._under_way: dict[str, asyncio.Future[Sequence[IPAddress]]] = {}
        self._answered: dict[str, None] = {}
        self._answered_lane = asyncio.Semaphore(slots)
        self._other_lane = asyncio.Semaphore(slots)

    async def resolve(self, host: str) -> Sequence[IPAddress]:
        """The addresses of `host` in the system's order of preference; at least one.

        Raises:
            NoAddress: there is none, or the lookup took longer than `patience`.
        """
        try:
            async with asyncio.timeout(self._patience):
                lookup = self._under_way.get(host) or await self._begin(host)
                addresses = await asyncio.shield(lookup)
        except TimeoutError:
            self._answered.pop(host, None)
            raise NoAddress from None
        if not addresses:
            raise NoAddress
        return addresses

    async def _begin(self, host: str) -> asyncio.Future[Sequence[IPAddress]]:
        lane = self._answered_lane if host in self._answered else self._other_lane
        await lane.acquire()
        if host in self._under_way:  # begun by another while this one waited for a slot
            lane.release()
            return self._under_way[host]
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Sequence[IPAddress]] = loop.create_future()
        self._under_way[host] = outcome

        def finish(addresses: Sequence[IPAddress]) -> None:
            lane.release()
            del self._under_way[host]
            self._answered.pop(host, None)
            if addresses:
                self._answered[host] = None
            if len(self._answered) > _REMEMBERED:
                del self._answered[next(iter(self._answered))]
            outcome.set_result(addresses)

        def run() -> None:
            addresses: Sequence[IPAddress] = ()
            try:
                with contextlib.suppress(OSError):
                    addresses = self._lookup(host)
            finally:
                # The loop may be closed by now; then nobody waits any more.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(finish, addresses)

        try:
            threading.Thread(target=run, name=f"resolve {host}", daemon=True).start()
        except RuntimeError:  # the system has no thread left
            finish(())
        return outcome


def _system_lookup(host: str) -> Sequence[IPAddress]:
    # As bytes: text would go through Python's own IDNA codec, which raises UnicodeError.
    found = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(ip_address(sockaddr[0]) for *_, sockaddr in found))
