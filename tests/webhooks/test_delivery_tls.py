"""HTTPS to hosts with valid and with invalid certificates."""

import ssl
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path

import pytest
import trustme

from receiver.clock import SystemClock
from receiver.net.transport import default_tls
from receiver.webhooks.delivery import WebhookSender
from receiver.webhooks.network import CheckedNetwork
from tests.providers.faulty_server import Connection, faulty_server, send_raw
from tests.webhooks.hostile_answers import OK
from tests.webhooks.test_delivery import Names, deliver

ALLOWED = [ip_network("127.0.0.1/32")]
AUTHORITY = trustme.CA()
NAMES = Names(hooks=[["127.0.0.1"]])


@dataclass
class Certified:
    """The TLS context of a server, and the names that it was asked for."""

    context: ssl.SSLContext
    asked_for: list[str | None] = field(default_factory=list)


def certified(*names: str, by: trustme.CA = AUTHORITY) -> Certified:
    side = Certified(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    by.issue_cert(*names).configure_cert(side.context)

    def note(_socket: object, name: str | None, _context: object) -> None:
        side.asked_for.append(name)

    side.context.sni_callback = note
    return side


@pytest.fixture
def sender() -> WebhookSender:
    trusting = ssl.create_default_context()
    AUTHORITY.configure_trust(trusting)
    network = CheckedNetwork(NAMES.resolve, allow_nets=ALLOWED, tls=trusting)
    return WebhookSender(network, SystemClock())


async def test_the_name_stays_the_name_for_sni_certificate_and_host(sender: WebhookSender) -> None:
    side = certified("hooks.example", "127.0.0.1")
    async with faulty_server(send_raw(OK), tls=side.context) as server:
        attempt = await deliver(sender, server, host="hooks.example", scheme="https")
        assert (await deliver(sender, server, scheme="https")).status_code == 200
    assert (attempt.status_code, attempt.error) == (200, None)
    assert side.asked_for == ["hooks.example", None]
    assert f"Host: hooks.example:{server.port}\r\n" in server.heads[0]


@pytest.mark.parametrize(
    ("side", "host"),
    [
        (certified("other.example"), "hooks.example"),
        # The address that is called, although the name is what counts, and the other way round.
        (certified("127.0.0.1"), "hooks.example"),
        (certified("hooks.example"), "127.0.0.1"),
        (certified("hooks.example", by=trustme.CA()), "hooks.example"),
        (None, "hooks.example"),
    ],
    ids=["another name", "the address", "the name", "another authority", "no TLS"],
)
async def test_a_bad_certificate_gets_no_byte_of_the_message(
    sender: WebhookSender, side: Certified | None, host: str
) -> None:
    async def rude(connection: Connection) -> None:
        await connection.send(b"HTTP/1.1 400 this is no TLS\r\n\r\n")

    behaviour, tls = (rude, None) if side is None else (send_raw(OK), side.context)
    async with faulty_server(behaviour, tls) as server:
        attempt = await deliver(sender, server, host=host, scheme="https")
    assert (attempt.status_code, attempt.error) == (None, "tls_failed")
    assert attempt.connect_failure
    assert server.heads == []


async def test_an_operator_can_trust_an_authority_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    AUTHORITY.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    trusting = default_tls.__wrapped__()  # not the cached one
    sender = WebhookSender(CheckedNetwork(NAMES.resolve, True, ALLOWED, trusting), SystemClock())
    async with faulty_server(send_raw(OK), tls=certified("hooks.example").context) as server:
        attempt = await deliver(sender, server, host="hooks.example", scheme="https")
    assert attempt.status_code == 200
