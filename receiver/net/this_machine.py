"""Whether an address is this machine's own, so that nobody else can reach it."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from socket import inet_aton
from urllib.parse import urlsplit


def is_this_machine(url: str) -> bool:
    """Whether the host of `url` is a loopback or unspecified address, or `localhost`."""
    host = (urlsplit(url).hostname or "").removesuffix(".")
    address = _literal(host)
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    """The IP address that `host` means, also in a short form such as 127.1; None for a name."""
    with suppress(ValueError):
        address = IPv6Address(host)
        return address.ipv4_mapped or address
    with suppress(OSError):
        return IPv4Address(inet_aton(host))
    return None
