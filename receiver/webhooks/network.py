"""Connects only to addresses that have been checked."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address

from receiver.http_client import Connection, connect
from receiver.webhooks.targets import IPAddress, IPNetwork, Target, check_address

_ADDRESSES_TRIED = 4
"""Maximum number of a name's addresses to try. All addresses are checked, but a name with a
thousand of them does not cause a thousand connection attempts."""


async def connect_checked(
    target: Target,
    resolve: Callable[[str], Awaitable[Sequence[IPAddress]]],
    allow_nets: Sequence[IPNetwork],
    timeout: float,
    longest: int,
) -> Connection:
    """Connect to the first of the host's addresses that answers.

    The address is pinned here instead of being put into the URL, so that TLS (SNI, the certificate)
    and `Host` still see the name.

    Args:
        timeout: seconds for all attempts. Each address has its share, so that an unresponsive one
            leaves time for the next.
        longest: bytes that are read of the answer, its head included.

    Raises:
        NoAddress: the name has no address.
        TargetRefused: one of the addresses is not allowed; then none is tried.
        OSError: no connection to any that was tried.
    """
    addresses = await _addresses(target.host, resolve)
    for address in addresses:
        check_address(address, allow_nets)
    *others, last = addresses[:_ADDRESSES_TRIED]
    share = timeout / (len(others) + 1)
    for address in others:
        with suppress(OSError):
            async with asyncio.timeout(share):
                return await connect(str(address), target.port, longest=longest)
    async with asyncio.timeout(share):
        return await connect(str(last), target.port, longest=longest)


async def _addresses(
    host: str, resolve: Callable[[str], Awaitable[Sequence[IPAddress]]]
) -> Sequence[IPAddress]:
    try:
        return (ip_address(host),)
    except ValueError:
        return await resolve(host)
