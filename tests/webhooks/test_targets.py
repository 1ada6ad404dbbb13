"""Which webhook URLs are accepted, checked with the whole corpus."""

import re
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import httpx
from hypothesis import given
from hypothesis import strategies as st

from receiver.webhooks.network import host_header
from receiver.webhooks.targets import (
    LONGEST_URL,
    IPNetwork,
    TargetRefused,
    check_address,
    check_url,
)
from tests.webhooks import corpus

EVERYTHING: tuple[IPNetwork, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))


def nets(*texts: str) -> tuple[IPNetwork, ...]:
    return tuple(ip_network(text) for text in texts)


def literal(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def refusal(url: str, *, http: bool = False, allowed: Sequence[IPNetwork] = ()) -> str:
    """Why a URL is refused; empty if it is accepted."""
    try:
        check_url(url, allow_http=http, allow_nets=allowed)
    except TargetRefused as refused:
        return str(refused)
    return ""


def address_refusal(address: str, allowed: Sequence[IPNetwork] = ()) -> str:
    """Why an IP address is refused; empty if it is accepted."""
    try:
        check_address(ip_address(address), allowed)
    except TargetRefused as refused:
        return str(refused)
    return ""


def test_public_addresses_are_called() -> None:
    for address in corpus.PUBLIC_ADDRESSES:
        assert address_refusal(address) == "", address
        assert refusal(f"https://{literal(address)}/hook") == "", address


def test_special_addresses_are_refused_as_resolved_and_as_written() -> None:
    for address in corpus.SPECIAL_ADDRESSES:
        assert "is not public" in address_refusal(address), address
        assert "is not public" in refusal(f"https://{literal(address)}:8443/hook"), address


def test_an_allowed_network_allows_exactly_its_own_addresses() -> None:
    for address in corpus.SPECIAL_ADDRESSES:
        own = nets(address)
        assert address_refusal(address, own) == "", address
        assert refusal(f"https://{literal(address)}/", allowed=own) == "", address
        assert address_refusal(address, nets("10.99.0.0/16", "fd99::/16")), address


def test_an_ipv4_network_covers_its_mapped_form_and_no_other_disguise() -> None:
    allowed = nets("127.0.0.0/8")
    assert address_refusal("::ffff:127.0.0.1", allowed) == ""
    assert refusal("https://[::ffff:127.0.0.1]/", allowed=allowed) == ""
    for other in ("::127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::", "::ffff:10.0.0.1", "::1"):
        assert address_refusal(other, allowed), other


def test_malformed_urls_are_refused_even_if_every_network_is_allowed() -> None:
    for url, word in corpus.MALFORMED_URLS:
        assert re.search(word, refusal(url, http=True, allowed=EVERYTHING)), url


def test_the_call_goes_to_the_host_and_path_that_were_checked() -> None:
    for url, host, port, path, authority in corpus.GOOD_URLS:
        assert refusal(url) == "", url
        called = httpx.Request("POST", url, headers={"Host": host_header(url)}).url
        assert (called.scheme, called.raw_host.decode()) == ("https", host), url
        assert (called.port or 443, called.raw_path.decode()) == (port, path), url
        assert host_header(url) == authority, url


def test_http_is_accepted_only_if_it_is_allowed() -> None:
    assert refusal("http://example.com/", http=True) == ""
    why = refusal("http://example.com/")
    assert re.search(r"https://; .* by RECEIVER_RELAY_ALLOW_HTTP", why)


def test_the_longest_url() -> None:
    url = "https://example.com/"
    url += "a" * (LONGEST_URL - len(url))
    assert refusal(url) == ""
    assert refusal(url + "a")


@given(st.ip_addresses(v=4))
def test_every_ipv4_disguised_in_ipv6_is_refused(address: object) -> None:
    for form in ("::{}", "::ffff:{}", "::ffff:0:{}", "64:ff9b::{}", "64:ff9b:1::{}"):
        assert address_refusal(form.format(address)), form
