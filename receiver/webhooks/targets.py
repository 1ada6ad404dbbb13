"""Checks the URLs of users' webhooks, against server-side request forgery.

Users choose where we send, so a URL is checked as text when it is submitted and again before each
attempt, and by IP address whenever a connection is opened, since a name may resolve to anything,
and differently each time.

Reasons for a refusal never contain the IP address: that would reveal the addresses of names that
only our network can resolve.
"""

import re
from collections.abc import Sequence
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
)

from receiver.net.resolver import IPAddress

IPNetwork = IPv4Network | IPv6Network

LONGEST_URL = 2048
"""Maximum number of characters in a webhook URL."""
LONGEST_NAME = 253
"""Maximum number of characters in a host name (RFC 1035, section 2.3.4, as text)."""


class TargetRefused(Exception):
    """The URL, or an IP address of its host, is not allowed; the message tells its user why."""


_ALLOW_NETS = "the operator can allow it by RECEIVER_RELAY_ALLOW_NETS"
_ALLOW_HTTP = "the operator can allow http:// by RECEIVER_RELAY_ALLOW_HTTP=true"

# RFC 3986, appendix B.
_URL = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):)?(?://(?P<authority>[^/?#]*))?"
    r"(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?P<fragment>#.*)?"
)
_AUTHORITY = re.compile(r"(?:\[(?P<ipv6>[^\]]*)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[0-9]{1,5}))?")

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
    parts = _URL.fullmatch(url)
    # The pattern matches every text of visible characters, if only as a path.
    scheme = (parts["scheme"] or "").lower() if parts else ""
    if not parts or scheme not in (("https", "http") if allow_http else ("https",)):
        other = " or http://" if allow_http else f"; {_ALLOW_HTTP}" * (scheme == "http")
        raise TargetRefused(f"the address must start with https://{other}")
    if parts["fragment"] is not None:
        raise TargetRefused("the address must not have a fragment (#…)")
    _check_authority(parts["authority"] or "", allow_nets)


def _check_authority(text: str, allow_nets: Sequence[IPNetwork]) -> None:
    if "@" in text:
        raise TargetRefused("the address must not hold a user name or password")
    parts = _AUTHORITY.fullmatch(text)
    if not parts:
        raise TargetRefused("the host or the port of the address cannot be read")
    if parts["port"] and not 1 <= int(parts["port"]) <= 65535:
        raise TargetRefused("the port must be a number from 1 to 65535")
    if parts["ipv6"] is None:
        _check_host(parts["host"].lower(), allow_nets)
    else:
        _check_ipv6(parts["ipv6"], allow_nets)


def _check_host(host: str, allow_nets: Sequence[IPNetwork]) -> None:
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            address = IPv4Address(host)
        except AddressValueError:
            # Systems differ in how they read octal, hexadecimal and short forms (RFC 6943, 3.1.1).
            raise TargetRefused("an IPv4 address must be written as four decimal numbers") from None
        check_address(address, allow_nets)
    elif len(host) > LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise TargetRefused("the address has no valid host name")


def _check_ipv6(text: str, allow_nets: Sequence[IPNetwork]) -> None:
    if "%" in text:
        raise TargetRefused("an IPv6 address must not have a zone (RFC 6874)")
    try:
        address = IPv6Address(text)
    except AddressValueError:
        raise TargetRefused("the address has no valid IPv6 host") from None
    check_address(address, allow_nets)


# --- IP addresses ---------------------------------------------------------------------------------

_SPECIAL_USE: Sequence[tuple[IPNetwork, str]] = [
    (ip_network(network), use)
    for network, use in (
        # IANA IPv4 Special-Purpose Address Registry, and other addresses that no webhook has.
        ("0.0.0.0/8", "means this network (RFC 1122)"),
        ("10.0.0.0/8", "is private (RFC 1918)"),
        ("100.64.0.0/10", "is shared address space for carrier-grade NAT (RFC 6598)"),
        ("127.0.0.0/8", "is a loopback address (RFC 1122)"),
        ("168.63.129.16/32", "belongs to a cloud platform (Azure)"),
        ("169.254.0.0/16", "is link-local (RFC 3927)"),
        ("172.16.0.0/12", "is private (RFC 1918)"),
        ("192.0.0.0/24", "is reserved for protocols (RFC 6890)"),
        ("192.0.2.0/24", "is for documentation (RFC 5737)"),
        ("192.88.99.0/24", "is a 6to4 relay (RFC 7526)"),
        ("192.168.0.0/16", "is private (RFC 1918)"),
        ("198.18.0.0/15", "is for benchmarking (RFC 2544)"),
        ("198.51.100.0/24", "is for documentation (RFC 5737)"),
        ("203.0.113.0/24", "is for documentation (RFC 5737)"),
        ("224.0.0.0/4", "is multicast (RFC 5771)"),
        ("255.255.255.255/32", "is the broadcast address (RFC 919)"),
        ("240.0.0.0/4", "is reserved (RFC 1112)"),
        # IANA IPv6 Special-Purpose Address Registry. A gateway may turn a connection to an address
        # with an embedded IPv4 address into one to the latter.
        ("::/128", "is unspecified (RFC 4291)"),
        ("::1/128", "is a loopback address (RFC 4291)"),
        ("::/96", "embeds an IPv4 address (compatible, RFC 4291)"),
        ("::ffff:0:0/96", "embeds an IPv4 address (mapped, RFC 4291)"),
        ("::ffff:0:0:0/96", "embeds an IPv4 address (translated, RFC 2765)"),
        ("64:ff9b::/96", "embeds an IPv4 address (NAT64, RFC 6052)"),
        ("64:ff9b:1::/48", "embeds an IPv4 address (local NAT64, RFC 8215)"),
        ("2001::/32", "embeds an IPv4 address (Teredo, RFC 4380)"),
        ("2002::/16", "embeds an IPv4 address (6to4, RFC 3056)"),
        ("100::/64", "is for discarding (RFC 6666)"),
        ("2001:2::/48", "is for benchmarking (RFC 5180)"),
        ("2001::/23", "is reserved for protocols (RFC 2928)"),
        ("2001:db8::/32", "is for documentation (RFC 3849)"),
        ("3fff::/20", "is for documentation (RFC 9637)"),
        ("5f00::/16", "is for segment routing (RFC 9602)"),
        ("fc00::/7", "is private (unique local, RFC 4193)"),
        ("fe80::/10", "is link-local (RFC 4291)"),
        ("fec0::/10", "is site-local (RFC 3879)"),
        ("ff00::/8", "is multicast (RFC 4291)"),
    )
]

_GLOBAL_IPV6 = IPv6Network("2000::/3")
"""The block that IANA allocates for global unicast (RFC 4291, section 2.4)."""


def check_address(address: IPAddress, allow_nets: Sequence[IPNetwork]) -> None:
    """Check an IP address before connecting to it.

    Args:
        allow_nets: networks that are allowed although they are not public; an IPv4 network also
            covers its mapped form (`::ffff:…`).

    Raises:
        TargetRefused: it is not public, and not in `allow_nets`.
    """
    if _is_in(address, allow_nets):
        return
    for network, use in _SPECIAL_USE:
        if address in network:
            raise TargetRefused(f"the host's address {use}; {_ALLOW_NETS}")
    # `is_global` alone has gaps (it includes multicast and NAT64), but newer Python releases know
    # blocks that were reserved after this table was written.
    if not address.is_global or (address.version == 6 and address not in _GLOBAL_IPV6):
        raise TargetRefused(f"the host's address is not public; {_ALLOW_NETS}")


def _is_in(address: IPAddress, networks: Sequence[IPNetwork]) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return any(
        address in network or (mapped is not None and mapped in network) for network in networks
    )
