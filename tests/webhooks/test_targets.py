"""Which webhook URLs are accepted, over the whole corpus."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.webhooks.targets import (
    LONGEST_URL,
    IPNetwork,
    Target,
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


def test_the_corpus_is_large_and_says_each_thing_once() -> None:
    for group in (
        corpus.PUBLIC_ADDRESSES,
        [address for address, _ in corpus.SPECIAL_ADDRESSES],
        corpus.DISGUISED_HOSTS,
        [url for url, _ in corpus.MALFORMED_URLS],
        [url for url, *_ in corpus.GOOD_URLS],
    ):
        assert len(set(group)) == len(group)
    assert len(corpus.SPECIAL_ADDRESSES) + len(corpus.DISGUISED_HOSTS) > 200


@pytest.mark.parametrize("address", corpus.PUBLIC_ADDRESSES)
def test_public_addresses_are_called(address: str) -> None:
    check_address(ip_address(address), ())
    check_url(f"https://{literal(address)}/hook", allow_http=False, allow_nets=())


@pytest.mark.parametrize(("address", "word"), corpus.SPECIAL_ADDRESSES)
def test_special_addresses_are_refused_as_resolved_and_as_written(address: str, word: str) -> None:
    with pytest.raises(TargetRefused, match=word):
        check_address(ip_address(address), ())
    with pytest.raises(TargetRefused, match=word) as refused:
        check_url(f"https://{literal(address)}:8443/hook", allow_http=False, allow_nets=())
    assert address not in str(refused.value)


@pytest.mark.parametrize(("address", "_word"), corpus.SPECIAL_ADDRESSES)
def test_an_allowed_network_allows_exactly_its_own_addresses(address: str, _word: str) -> None:
    ip = ip_address(address)
    check_address(ip, [ip_network(ip)])
    check_url(f"https://{literal(address)}/", allow_http=False, allow_nets=[ip_network(ip)])
    with pytest.raises(TargetRefused):
        check_address(ip, nets("10.99.0.0/16", "fd99::/16"))


def test_an_ipv4_network_covers_its_mapped_form_and_no_other_disguise() -> None:
    allowed = nets("127.0.0.0/8")
    check_address(ip_address("::ffff:127.0.0.1"), allowed)
    check_url("https://[::ffff:127.0.0.1]/", allow_http=False, allow_nets=allowed)
    for other in ("::127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::", "::ffff:10.0.0.1", "::1"):
        with pytest.raises(TargetRefused):
            check_address(ip_address(other), allowed)


@pytest.mark.parametrize("host", corpus.DISGUISED_HOSTS)
@pytest.mark.parametrize("shape", ["https://{}/", "https://{}:8443/hook", "http://{}?x=1"])
def test_disguised_hosts_are_refused(host: str, shape: str) -> None:
    with pytest.raises(TargetRefused):
        check_url(shape.format(host), allow_http=True, allow_nets=())


@pytest.mark.parametrize(("url", "word"), corpus.MALFORMED_URLS)
def test_malformed_urls_are_refused_in_words_even_where_every_network_is_allowed(
    url: str, word: str
) -> None:
    with pytest.raises(TargetRefused, match=word):
        check_url(url, allow_http=True, allow_nets=EVERYTHING)


@pytest.mark.parametrize(("url", "host", "port", "path", "authority"), corpus.GOOD_URLS)
def test_valid_urls_are_parsed(url: str, host: str, port: int, path: str, authority: str) -> None:
    target = check_url(url, allow_http=False, allow_nets=())
    assert target == Target("https", host, port, path)
    assert target.authority == authority


def test_http_is_accepted_only_if_it_is_allowed() -> None:
    target = check_url("http://example.com/", allow_http=True, allow_nets=())
    assert (target.scheme, target.port, target.authority) == ("http", 80, "example.com")
    with pytest.raises(TargetRefused, match=r"https://; .* by RECEIVER_RELAY_ALLOW_HTTP"):
        check_url("http://example.com/", allow_http=False, allow_nets=())


def test_names_of_this_machine_are_accepted_if_its_addresses_are_allowed() -> None:
    for network in ("127.0.0.0/8", "::1/128"):
        check_url("https://localhost:8000/", allow_http=False, allow_nets=nets(network))
    with pytest.raises(TargetRefused, match="this machine"):
        check_url("https://localhost:8000/", allow_http=False, allow_nets=nets("10.0.0.0/8"))


def test_the_longest_url() -> None:
    url = "https://example.com/"
    url += "a" * (LONGEST_URL - len(url))
    check_url(url, allow_http=False, allow_nets=())
    with pytest.raises(TargetRefused):
        check_url(url + "a", allow_http=False, allow_nets=())


@given(st.text(max_size=60), st.sampled_from(["{}", "https://{}", "https://{}/", "https://[{}]/"]))
def test_no_text_raises_anything_but_a_refusal(text: str, shape: str) -> None:
    try:
        target = check_url(shape.format(text), allow_http=True, allow_nets=())
    except TargetRefused:
        return
    assert target.host.isascii()
    assert target.path.startswith("/")


@given(st.ip_addresses(v=4))
def test_every_ipv4_disguised_in_ipv6_is_refused(address: object) -> None:
    for form in ("::{}", "::ffff:{}", "::ffff:0:{}", "64:ff9b::{}", "64:ff9b:1::{}"):
        with pytest.raises(TargetRefused):
            check_address(ip_address(form.format(address)), ())


@given(st.ip_addresses())
def test_addresses_that_python_calls_special_are_refused(address: object) -> None:
    ip = ip_address(str(address))
    special = (
        not ip.is_global
        or ip.is_multicast
        or ip.is_private
        or ip.is_reserved
        or ip.is_loopback
        or ip.is_link_local
        or ip.is_unspecified
    )
    if special:
        with pytest.raises(TargetRefused):
            check_address(ip, ())
