"""Which addresses a user's webhook may have.

Users choose where we send, so an address is checked twice: as text when it is submitted, and as IP
address each time a connection is opened, since a name may resolve to anything and to something
else the next time.

Reasons for a refusal never name the IP address: to the user of a name that only our own network
resolves, that would tell what stands behind it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
)

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

LONGEST_URL = 2048
"""Characters of a webhook address."""


class TargetRefused(Exception):
    """An address that is not called; the message says why, in words meant for its user."""


@dataclass(frozen=True, slots=True)
class Target:
    """A checked address, taken apart once, so that nothing reads it a second time differently."""

    scheme: str
    """`https` or `http`."""
    host: str
    """A name in lower case, or an IP address without brackets."""
    port: int
    path: str
    """With the query; starts with a slash."""

    @property
    def authority(self) -> str:
        """The value of `Host`: the port is left out where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


_PORTS = {"https": 443, "http": 80}

# RFC 3986, appendix B.
_URL = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):)?(?://(?P<authority>[^/?#]*))?"
    r"(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?P<fragment>#.*)?"
)
_AUTHORITY = re.compile(r"(?:\[(?P<ipv6>[^\]]*)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[0-9]{1,5}))?")

# A URL is ASCII (RFC 3986, section 2). A host in another script is written in its `xn--` form, and
# other characters are percent-encoded: what was checked is then, byte for byte, what is called.
_VISIBLE_ASCII = re.compile(r"[!-~]*")

# RFC 1123, section 2.1, and the underscore, which container networks use in names.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")

# The WHATWG URL standard's "ends in a number": a resolver reads such a host as an IPv4 address.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

# RFC 6761, section 6.3, and what hosts files of common systems call the same.
_LOCALHOST = re.compile(
    r"(?:.+\.)?localhost|localhost\.localdomain|localhost6(?:\.localdomain6)?"
    r"|ip6-(?:localhost|loopback)"
)
_LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


def check_url(url: str, *, allow_http: bool, allow_nets: Sequence[IPNetwork]) -> Target:
    """Check a webhook address as far as its text goes: a name is not resolved here.

    Args:
        allow_http: whether `http://` is taken too.
        allow_nets: networks that are allowed although their use is special.

    Returns:
        The address, taken apart.

    Raises:
        TargetRefused: it is not to be called.
    """
    if len(url) > LONGEST_URL:
        raise TargetRefused(f"the address is longer than {LONGEST_URL:,} characters")
    if not _VISIBLE_ASCII.fullmatch(url) or "\\" in url:
        raise TargetRefused(
            "the address has spaces, backslashes, control or non-ASCII characters; "
            "write these percent-encoded, and a host in its xn-- form"
        )
    parts = _URL.fullmatch(url)
    # The pattern fits every text of visible characters, if only as a path.
    scheme = (parts["scheme"] or "").lower() if parts else ""
    if not parts or scheme not in (("https", "http") if allow_http else ("https",)):
        raise TargetRefused(f"the address must start with https://{' or http://' * allow_http}")
    if parts["fragment"] is not None:
        raise TargetRefused("the address must not have a fragment (#…)")
    authority = parts["authority"] or ""
    if "@" in authority:
        raise TargetRefused("the address must not hold a user name or password")
    pieces = _AUTHORITY.fullmatch(authority)
    if not pieces:
        raise TargetRefused("the host or the port of the address cannot be read")
    port = int(pieces["port"]) if pieces["port"] else _PORTS[scheme]
    if not 1 <= port <= 65535:
        raise TargetRefused("the port must be a number from 1 to 65535")
    if pieces["ipv6"] is None:
        host = _checked_host(pieces["host"].lower(), allow_nets)
    else:
        host = _checked_ipv6(pieces["ipv6"], allow_nets)
    return Target(scheme, host, port, (parts["path"] or "/") + (parts["query"] or ""))


def _checked_host(host: str, allow_nets: Sequence[IPNetwork]) -> str:
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            address = IPv4Address(host)
        except AddressValueError:
            # Octal, hexadecimal, short: systems differ in how they read these (RFC 6943, 3.1.1).
            raise TargetRefused("an IPv4 address is written as four decimal numbers") from None
        check_address(address, allow_nets)
        return host
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise TargetRefused("the address has no valid host name")
    if _LOCALHOST.fullmatch(host) and not any(_is_in(own, allow_nets) for own in _LOOPBACK):
        raise TargetRefused("the host is this machine itself (RFC 6761)")
    return host


def _checked_ipv6(text: str, allow_nets: Sequence[IPNetwork]) -> str:
    if "%" in text:
        raise TargetRefused("an IPv6 address must not have a zone (RFC 6874)")
    try:
        address = IPv6Address(text)
    except AddressValueError:
        raise TargetRefused("the address has no valid IPv6 host") from None
    check_address(address, allow_nets)
    return str(address)


# --- IP addresses ---------------------------------------------------------------------------------

_SPECIAL_USE: Sequence[tuple[IPNetwork, str]] = [
    (ip_network(network), use)
    for network, use in (
        # IANA IPv4 Special-Purpose Address Registry, and what else no webhook can live on.
        ("0.0.0.0/8", "stands for this network (RFC 1122)"),
        ("10.0.0.0/8", "is private (RFC 1918)"),
        ("100.64.0.0/10", "is shared behind a carrier's NAT (RFC 6598)"),
        ("127.0.0.0/8", "is a loopback address (RFC 1122)"),
        ("168.63.129.16/32", "belongs to the platform of a cloud (Azure)"),
        ("169.254.0.0/16", "is link-local (RFC 3927)"),
        ("172.16.0.0/12", "is private (RFC 1918)"),
        ("192.0.0.0/24", "is kept for protocols (RFC 6890)"),
        ("192.0.2.0/24", "is for documentation (RFC 5737)"),
        ("192.88.99.0/24", "is a 6to4 relay (RFC 7526)"),
        ("192.168.0.0/16", "is private (RFC 1918)"),
        ("198.18.0.0/15", "is for benchmarking (RFC 2544)"),
        ("198.51.100.0/24", "is for documentation (RFC 5737)"),
        ("203.0.113.0/24", "is for documentation (RFC 5737)"),
        ("224.0.0.0/4", "is multicast (RFC 5771)"),
        ("255.255.255.255/32", "is the broadcast address (RFC 919)"),
        ("240.0.0.0/4", "is reserved (RFC 1112)"),
        # IANA IPv6 Special-Purpose Address Registry. First what holds an IPv4 address: a gateway
        # on the way may turn it into a connection to that one, so it counts as a disguise.
        ("::/128", "is unspecified (RFC 4291)"),
        ("::1/128", "is a loopback address (RFC 4291)"),
        ("::/96", "holds an IPv4 address (compatible, RFC 4291)"),
        ("::ffff:0:0/96", "holds an IPv4 address (mapped, RFC 4291)"),
        ("::ffff:0:0:0/96", "holds an IPv4 address (translated, RFC 2765)"),
        ("64:ff9b::/96", "holds an IPv4 address (NAT64, RFC 6052)"),
        ("64:ff9b:1::/48", "holds an IPv4 address (local NAT64, RFC 8215)"),
        ("2001::/32", "holds an IPv4 address (Teredo, RFC 4380)"),
        ("2002::/16", "holds an IPv4 address (6to4, RFC 3056)"),
        ("100::/64", "is for discarding (RFC 6666)"),
        ("2001:2::/48", "is for benchmarking (RFC 5180)"),
        ("2001::/23", "is kept for protocols (RFC 2928)"),
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
"""All that IANA gives out for global unicast (RFC 4291, section 2.4); the rest is reserved."""


def check_address(address: IPAddress, allow_nets: Sequence[IPNetwork]) -> None:
    """Check an IP address that a connection would go to.

    Args:
        allow_nets: networks that are allowed although their use is special; an IPv4 network
            covers its mapped form (`::ffff:…`) too.

    Raises:
        TargetRefused: it is of special use, and no network in `allow_nets` has it.
    """
    if _is_in(address, allow_nets):
        return
    for network, use in _SPECIAL_USE:
        if address in network:
            raise TargetRefused(f"the host's address {use}")
    # `is_global` alone has gaps (it takes multicast and NAT64), but newer releases of Python know
    # blocks that were set aside after this table was written.
    if not address.is_global or (address.version == 6 and address not in _GLOBAL_IPV6):
        raise TargetRefused("the host's address is not public")


def _is_in(address: IPAddress, networks: Sequence[IPNetwork]) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return any(
        address in network or (mapped is not None and mapped in network) for network in networks
    )
