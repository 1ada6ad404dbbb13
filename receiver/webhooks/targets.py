"""Checks the URLs of users' webhooks, against server-side request forgery.

Users choose where we send, so a URL is checked as text when it is submitted and again before each
attempt, and by IP address whenever a connection is opened, since a name may resolve to anything,
and differently each time.

Reasons for a refusal never contain the IP address: that would reveal the addresses of names that
only our network can resolve.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

from receiver.net.resolver import IPAddress

IPNetwork = IPv4Network | IPv6Network

LONGEST_URL = 2048
"""Maximum number of characters in a webhook URL."""


class TargetRefused(Exception):
    """The URL, or an IP address of its host, is not allowed; the message tells its user why."""


_ALLOW_NETS = "the operator can allow it by RECEIVER_RELAY_ALLOW_NETS"
_ALLOW_HTTP = "the operator can allow http:// by RECEIVER_RELAY_ALLOW_HTTP=true"

# Stricter than httpx, which takes ports such as `+443`.
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:]*)(:[0-9]{1,5})?")

# A URL is ASCII (RFC 3986, section 2). Hosts in other scripts must be in `xn--` form and other
# characters percent-encoded, so that what was checked is exactly what is called.
_VISIBLE_ASCII = re.compile(r"[!-~]*")

# RFC 1123, section 2.1, and the underscore, which container networks use in names.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")

# The WHATWG URL standard's "ends in a number": a resolver reads such a host as an IPv4 address.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def check_url(
    url: str,
    *,
    allow_http: bool,
    allow_nets: Sequence[IPNetwork],
    longest: int = LONGEST_URL,
) -> None:
    """Check the text of a webhook URL; names are not resolved here.

    Args:
        allow_http: whether `http://` is allowed too.
        allow_nets: special-use networks that are allowed.
        longest: maximum number of characters.

    Raises:
        TargetRefused: it is not allowed.
    """
    if len(url) > longest:
        raise TargetRefused(f"the address is longer than {longest:,} characters")
    if not _VISIBLE_ASCII.fullmatch(url) or "\\" in url:
        raise TargetRefused(
            "the address has spaces, backslashes, control or non-ASCII characters; "
            "percent-encode them, and write the host in its xn-- form"
        )
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in (("https", "http") if allow_http else ("https",)):
        other = " or http://" if allow_http else f"; {_ALLOW_HTTP}" * (scheme.lower() == "http")
        raise TargetRefused(f"the address must start with https://{other}")
    if "#" in url:
        raise TargetRefused("the address must not have a fragment (#…)")
    authority = re.split("[/?]", rest, maxsplit=1)[0]
    if "@" in authority:
        raise TargetRefused("the address must not hold a user name or password")
    try:
        parts = httpx.URL(url)  # as it will be called
    except httpx.InvalidURL:
        parts = None
    if parts is None or not _AUTHORITY.fullmatch(authority):
        raise TargetRefused("the host or the port of the address cannot be read")
    if parts.port is not None and not 1 <= parts.port <= 65535:
        raise TargetRefused("the port must be a number from 1 to 65535")
    _check_host(parts.raw_host.decode("ascii"), allow_nets)


def _check_host(host: str, allow_nets: Sequence[IPNetwork]) -> None:
    if "%" in host and ":" in host:
        raise TargetRefused("an IPv6 address must not have a zone (RFC 6874)")
    labels = host.split(".")
    try:
        check_address(ip_address(host), allow_nets)
    except ValueError:
        if _NUMBER.fullmatch(labels[-1]):
            # Systems differ in how they read octal, hexadecimal and short forms (RFC 6943, 3.1.1).
            raise TargetRefused("an IPv4 address must be written as four decimal numbers") from None
        if not all(_LABEL.fullmatch(label) for label in labels):
            raise TargetRefused("the address has no valid host name") from None


# --- IP addresses ---------------------------------------------------------------------------------

# Addresses that Python takes for public, at least some of its releases.
_NOT_PUBLIC: Sequence[IPNetwork] = [
    ip_network("168.63.129.16/32"),  # a cloud's platform (Azure)
    # Protocol assignments (RFC 6890 and 2928). Newer Pythons take some of them for public.
    ip_network("192.0.0.0/24"),
    ip_network("2001::/23"),
    ip_network("192.88.99.0/24"),  # 6to4 relays (RFC 7526)
    ip_network("2002::/16"),  # 6to4, with an IPv4 address in it (RFC 3056)
    ip_network("3fff::/20"),  # documentation (RFC 9637)
]

_GLOBAL_IPV6 = IPv6Network("2000::/3")
"""The block that IANA allocates for global unicast (RFC 4291, section 2.4). The IPv6 forms of IPv4
addresses are not in it, but for 6to4."""


def check_address(address: IPAddress, allow_nets: Sequence[IPNetwork]) -> None:
    """Check an IP address before connecting to it.

    Args:
        allow_nets: networks that are allowed although they are not public; an IPv4 network also
            covers its mapped form (`::ffff:…`).

    Raises:
        TargetRefused: it is not public, and not in `allow_nets`.
    """
    if not (_is_public(address) or _is_in(address, allow_nets)):
        raise TargetRefused(f"the host's address is not public; {_ALLOW_NETS}")


def _is_public(address: IPAddress) -> bool:
    is_unicast = address.version == 4 or address in _GLOBAL_IPV6
    return (
        is_unicast
        and address.is_global
        and not address.is_multicast
        and not _is_in(address, _NOT_PUBLIC)
    )


def _is_in(address: IPAddress, networks: Sequence[IPNetwork]) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return any(
        address in network or (mapped is not None and mapped in network) for network in networks
    )
