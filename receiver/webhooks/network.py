"""The network as webhooks may use it: checked addresses only, and answers of bounded size."""

import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Any

import httpcore

from receiver.webhooks.targets import IPAddress, IPNetwork, check_address

LONGEST_ANSWER = 64 * 1024
"""Bytes that are read of one answer, its head included."""

_READ_SIZE = 8 * 1024
"""Bytes for the parser at a time. Thousands of tiny pieces (interim responses, chunks) fit into a
large read, and the event loop would stand still for all of them."""

_ADDRESSES_TRIED = 4
"""Addresses of one name that a connection is tried to. All are checked, but a name with a thousand
addresses does not make us knock at a thousand doors."""


class AnswerTooLong(Exception):
    """The answer has more than `LONGEST_ANSWER` bytes."""


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Resolves a name, checks every address, and connects to one of those that it checked.

    The address is pinned down here, and not put into the URL: for TLS (SNI, the certificate), for
    `Host`, and for whatever may ever pool connections, the name stays the name.
    """

    def __init__(
        self,
        resolve: Callable[[str], Awaitable[Sequence[IPAddress]]],
        allow_nets: Sequence[IPNetwork],
    ) -> None:
        self._resolve = resolve
        self._allow_nets = allow_nets
        self._wire = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first of the host's addresses that answers, within `timeout` seconds.

        Raises:
            NoAddress: the name has none.
            TargetRefused: one of the addresses is not to be called; then none is.
            httpcore.ConnectError, httpcore.ConnectTimeout: none of those tried took the connection.
        """
        addresses = await self._addresses(host)
        for address in addresses:
            check_address(address, self._allow_nets)
        tried = addresses[:_ADDRESSES_TRIED]
        # Shared out, so that one address that swallows packets leaves time for the next.
        share = None if timeout is None else timeout / len(tried)
        for address in tried[:-1]:
            try:
                return await self._connect(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._connect(tried[-1], port, share, local_address, socket_options)

    async def _addresses(self, host: str) -> Sequence[IPAddress]:
        try:
            return (ip_address(host),)
        except ValueError:
            return await self._resolve(host)

    async def _connect(
        self,
        address: IPAddress,
        port: int,
        timeout: float | None,
        local_address: str | None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._wire.connect_tcp(
            str(address), port, timeout, local_address, socket_options
        )
        return _MeteredStream(stream)


class _MeteredStream(httpcore.AsyncNetworkStream):
    """A connection that reads at most `LONGEST_ANSWER` bytes: it serves one request."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._left = LONGEST_ANSWER

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if not self._left:
            raise AnswerTooLong
        data = await self._stream.read(min(max_bytes, _READ_SIZE, self._left), timeout)
        self._left -= len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            return _MeteredStream(
                await self._stream.start_tls(ssl_context, server_hostname, timeout)
            )
        except BaseException:
            # httpcore leaves the socket open when a handshake is cancelled, as ours is in time.
            await self.aclose()
            raise

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
