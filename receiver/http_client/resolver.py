"""Resolves host names to IP addresses in dedicated threads.

`getaddrinfo` blocks, cannot be cancelled, and takes tens of seconds for a name whose servers are
dead. A few such names would exhaust the event loop's thread pool (uvloop looks up two at a time),
so hosts are looked up in separate threads, with these bounds:

- No caller waits longer than `timeout` seconds. The thread of an abandoned lookup runs until the
  system gives up, and occupies its slot until then.
- A name has at most one thread at a time, however many callers wait for it or have given up.
- There are two lanes with separate slots: names whose last lookup was answered, and all others.
  Dead names can fill the second lane and delay names that were never resolved before, but not names
  that work.
- Threads are daemons, so that a lookup does not delay the end of the process (threads of a
  `ThreadPoolExecutor` are joined at exit).
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import islice

IPAddress = IPv4Address | IPv6Address

Lookup = Callable[[str], Sequence[IPAddress]]
"""Blocks and returns the addresses of a name. An `OSError` (such as `gaierror`) means none."""

MAX_ADDRESSES = 64
"""Maximum number of a name's addresses that are used. A DNS answer has room for thousands, and each
is checked in the event loop."""
_MAX_REMEMBERED = 4096
"""Maximum number of names remembered as answered; the oldest is dropped for a new one."""


class NoAddress(Exception):
    """The name has no address, or none was found in time."""


class Resolver:
    """Resolves names for one event loop."""

    def __init__(
        self, lookup: Lookup | None = None, *, timeout: float = 5.0, slots: int = 128
    ) -> None:
        """`timeout` is in seconds; `slots` is the number of threads of each of the two lanes."""
        self._lookup = lookup or _system_lookup
        self._timeout = timeout
        self._under_way: dict[str, asyncio.Future[Sequence[IPAddress]]] = {}
        self._answered: dict[str, None] = {}
        self._answered_lane = asyncio.Semaphore(slots)
        self._other_lane = asyncio.Semaphore(slots)

    async def resolve(self, host: str) -> Sequence[IPAddress]:
        """The addresses of `host` in the system's order of preference: at least one, and at most
        `MAX_ADDRESSES`. If it is an address itself, that one, without a lookup.

        Raises:
            NoAddress: there is none, or the lookup took longer than the timeout.
        """
        with contextlib.suppress(ValueError):
            return [ip_address(host)]
        try:
            async with asyncio.timeout(self._timeout):
                lookup = self._under_way.get(host) or await self._begin(host)
                addresses = await asyncio.shield(lookup)
        except TimeoutError:
            self._answered.pop(host, None)
            addresses = ()
        if not addresses:
            raise NoAddress(f"{host} has no address")
        return addresses

    async def _begin(self, host: str) -> asyncio.Future[Sequence[IPAddress]]:
        lane = self._answered_lane if host in self._answered else self._other_lane
        await lane.acquire()
        if host in self._under_way:  # started by another caller while this one waited for a slot
            lane.release()
            return self._under_way[host]
        loop = asyncio.get_running_loop()
        outcome = self._under_way[host] = loop.create_future()
        finish = partial(self._finish, host, lane)
        run = partial(self._run, host, partial(loop.call_soon_threadsafe, finish))
        try:
            threading.Thread(target=run, name=f"resolve {host}", daemon=True).start()
        except RuntimeError:  # the system cannot start another thread
            finish(())
        return outcome

    def _run(self, host: str, report: Callable[[Sequence[IPAddress]], object]) -> None:
        """Look the name up, in a thread of its own."""
        addresses: Sequence[IPAddress] = ()
        try:
            with contextlib.suppress(OSError):
                addresses = self._lookup(host)
        finally:
            # If the loop is closed by now, no caller is waiting any more.
            with contextlib.suppress(RuntimeError):
                report(addresses)

    def _finish(self, host: str, lane: asyncio.Semaphore, addresses: Sequence[IPAddress]) -> None:
        lane.release()
        self._answered.pop(host, None)
        if addresses:
            self._answered[host] = None
        if len(self._answered) > _MAX_REMEMBERED:
            del self._answered[next(iter(self._answered))]
        self._under_way.pop(host).set_result(addresses)


def _system_lookup(host: str) -> Sequence[IPAddress]:
    # As bytes: text would go through Python's IDNA codec, which raises UnicodeError.
    found = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
    texts = dict.fromkeys(sockaddr[0] for *_, sockaddr in found)
    return tuple(map(ip_address, islice(texts, MAX_ADDRESSES)))
