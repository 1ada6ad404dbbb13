"""No connection goes to a forbidden address: sockets that listen there count them."""

import contextlib
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from receiver.clock import SystemClock
from receiver.webhooks.delivery import WebhookSender
from receiver.webhooks.network import CheckedNetwork
from tests.providers.faulty_server import THIS_MACHINE, FaultyServer, faulty_server, send_raw
from tests.webhooks import corpus
from tests.webhooks.hostile_answers import OK
from tests.webhooks.test_delivery import BODY, Names, deliver, sender_with

pytestmark = pytest.mark.allow_hosts(THIS_MACHINE)


@contextlib.asynccontextmanager
async def watched() -> AsyncIterator[list[FaultyServer]]:
    """Servers on one port of every address of this machine that a disguise may lead to."""
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(faulty_server(send_raw(OK)))
        others = [
            await stack.enter_async_context(faulty_server(send_raw(OK), host=host, port=first.port))
            for host in ("127.0.0.2", "127.1.2.3", "::1")
        ]
        yield [first, *others]


async def test_the_watched_addresses_can_be_reached() -> None:
    everywhere = [ip_network("127.0.0.0/8"), ip_network("::1/128")]
    sender = WebhookSender(CheckedNetwork(Names().resolve, True, everywhere), SystemClock())
    async with watched() as sinks:
        for server in sinks:
            host = f"[{server.host}]" if ":" in server.host else server.host
            assert (await deliver(sender, server, host=host)).status_code == 200
        assert [server.connections for server in sinks] == [1] * len(sinks)


async def test_no_special_address_is_connected_to_whether_written_or_resolved() -> None:
    hosts = [
        *corpus.DISGUISED_HOSTS,
        *(f"[{ip}]" if ":" in ip else ip for ip in corpus.SPECIAL_ADDRESSES),
    ]
    names = Names(**{f"n{n}": [[ip]] for n, ip in enumerate(corpus.SPECIAL_ADDRESSES)})
    hosts += [f"n{n}.example" for n in range(len(corpus.SPECIAL_ADDRESSES))]
    assert len(hosts) > 300
    sender = WebhookSender(CheckedNetwork(names.resolve, allow_http=True), SystemClock())
    async with watched() as sinks:
        port = sinks[0].port
        for host in hosts:
            for scheme in ("http", "https"):
                attempt = await sender.deliver(f"{scheme}://{host}:{port}/", {}, BODY, 5)
                assert (attempt.error or "").startswith("refused_target: "), (host, attempt)
                assert not attempt.connect_failure
        assert [server.connections for server in sinks] == [0] * len(sinks)


async def test_an_address_is_checked_as_it_is_used_so_rebinding_gains_nothing() -> None:
    names = Names(rebind=[["127.0.0.1"], ["127.0.0.2"]])
    sender = sender_with(names)
    async with watched() as (good, bad, *_):
        first = await deliver(sender, good, host="rebind.example")
        assert names.asked == ["rebind.example"]  # the checked address is the called one
        second = await deliver(sender, good, host="rebind.example")
        assert (first.status_code, good.connections) == (200, 1)
        assert (second.error or "").startswith("refused_target: ")
        assert bad.connections == 0


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1", "127.0.0.2"],
        ["127.0.0.2", "127.0.0.1"],
        ["127.0.0.1", "10.0.0.1"],
        ["127.0.0.1", "::ffff:127.0.0.2"],
        ["::1", "fe80::1%lo"],
        # Refused although the attempt would never get as far as the last address.
        ["127.0.0.1", *(f"127.0.1.{n}" for n in range(20)), "127.0.0.2"],
    ],
)
async def test_one_refused_address_among_good_ones_fails_the_attempt(addresses: list[str]) -> None:
    sender = sender_with(Names(mixed=[addresses]))
    async with watched() as sinks:
        attempt = await deliver(sender, sinks[0], host="mixed.example")
        assert (attempt.error or "").startswith("refused_target: ")
        assert [server.connections for server in sinks] == [0] * len(sinks)
