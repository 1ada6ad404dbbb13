"""httpcore's network backend: it opens the connections of a pool, and carries their bytes.

The address is pinned here and not put into the URL: TLS (SNI and certificate) and the pool, which
reuses connections by scheme, host and port, still see the name.
"""

import ssl
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import httpcore

from receiver.net.resolver import IPAddress
from receiver.net.sockets import Sockets

Resolve = Callable[[str], Awaitable[Sequence[IPAddress]]]
"""See `Resolver.resolve`."""

ADDRESSES_OF_A_FAMILY = 2
"""Maximum number of a host's addresses of each IP version that are tried: one version may have no
route (RFC 8305), and a name with many addresses must not become a port scan."""


class NoAddress(httpcore.ConnectError):
    """The host's name has no address, or none was found in time."""


class TlsFailed(httpcore.ConnectError):
    """The TLS handshake failed, or the certificate is not the host's."""


class AnswerTooLong(Exception):
    """More bytes were received than the limit."""


def any_address(_: IPAddress) -> None:
    """Accepts every address: for hosts that the operator chooses."""


class Backend(httpcore.AsyncNetworkBackend):
    """Opens connections for one pool. Anything that `check` raises fails a request before a
    connection is made."""

    def __init__(
        self,
        resolve: Resolve,
        check: Callable[[IPAddress], None] = any_address,
        *,
        longest: int = sys.maxsize,
        tcp: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        """
        Args:
            check: raises for an address that must not be called; one such address is enough to
                refuse a host.
            longest: maximum number of bytes read on a connection.
            tcp: connects to an IP address; by default, sockets.
        """
        self.has_written = False
        """Whether any byte of any request may have been sent. A TLS handshake is none."""
        self._resolve = resolve
        self._check = check
        self._longest = longest
        self._tcp = tcp or Sockets()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> "Stream":
        """Connect to the first of the host's addresses that answers within its share of `timeout`.

        Raises:
            NoAddress: there is none.
            httpcore.ConnectError, httpcore.ConnectTimeout: the last address's failure.
        """
        addresses = await self._resolve(host)
        for address in addresses:
            self._check(address)
        tried = _few(addresses)
        failure: Exception = NoAddress(f"{host} has no address")
        for address in tried:
            share = None if timeout is None else timeout / len(tried)
            try:
                connected = await self._tcp.connect_tcp(str(address), port, share)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return Stream(connected, self, self._longest)
        raise failure


class Stream(httpcore.AsyncNetworkStream):
    """A connection that limits what is read, and notes what is written."""

    def __init__(
        self, connected: httpcore.AsyncNetworkStream, backend: Backend, longest: int
    ) -> None:
        self.has_read = False
        """Whether anything was received since the last write."""
        self._connected = connected
        self._backend = backend
        self._left = longest

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Raises `AnswerTooLong` once the limit is exceeded."""
        data = await self._connected.read(max_bytes, timeout)
        self.has_read = True
        self._left -= len(data)
        if self._left < 0:
            raise AnswerTooLong("it has more bytes than the limit")
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._backend.has_written, self.has_read = True, False
        await self._connected.write(buffer, timeout)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> "Stream":
        """Raises `TlsFailed`, or `httpcore.ConnectTimeout`."""
        try:
            encrypted = await self._connected.start_tls(ssl_context, server_hostname, timeout)
        except BaseException as error:
            await self.aclose()  # the pool does not know it yet, so it would stay open
            if isinstance(error, httpcore.ConnectError):
                raise TlsFailed(str(error) or "the connection was closed") from error
            raise
        return Stream(encrypted, self._backend, self._left)

    async def aclose(self) -> None:
        await self._connected.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._connected.get_extra_info(info)


def _few(addresses: Sequence[IPAddress]) -> Sequence[IPAddress]:
    """The first addresses of each IP version, in the given order."""
    versions = ([each for each in addresses if each.version == version] for version in (4, 6))
    first = {each for same in versions for each in same[:ADDRESSES_OF_A_FAMILY]}
    return [each for each in addresses if each in first]
