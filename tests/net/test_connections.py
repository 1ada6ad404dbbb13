"""How connections are made, kept and given up, over real sockets."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from ipaddress import ip_address

import httpcore
import httpx
import pytest
import uvloop

from receiver.net.backend import Backend, NoAddress, TlsFailed
from receiver.net.resolver import IPAddress
from receiver.net.transport import default_tls, open_transport
from tests.providers.faulty_server import (
    Behaviour,
    Connection,
    answer_each,
    close_at_once,
    faulty_server,
    full_backlog,
    stay_silent,
)
from tests.support.service import TIMEOUT

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TIME = {"connect": 3.0, "read": TIMEOUT}


def backend_for(*addresses: str) -> Backend:
    """It finds these addresses for every name."""

    async def resolve(_: str) -> Sequence[IPAddress]:
        return [ip_address(each) for each in addresses]

    return Backend(resolve)


async def ask(transport: httpx.AsyncBaseTransport, port: int, scheme: str = "http") -> bytes:
    request = httpx.Request("GET", f"{scheme}://a.example:{port}/", extensions={"timeout": TIME})
    async with aclosing(await transport.handle_async_request(request)) as response:
        return await response.aread()


async def second_answer_late(connection: Connection) -> None:
    await connection.receive()
    await connection.send(OK)
    await asyncio.sleep(0.01)
    await connection.send(OK.replace(b"ok", b"no"))
    await connection.until_client_leaves()


@pytest.mark.parametrize(
    ("behaviour", "connections"),
    [
        pytest.param(answer_each(OK), 1, id="in order"),
        pytest.param(
            answer_each(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")), 2, id="close"
        ),
        pytest.param(second_answer_late, 2, id="unsolicited bytes"),
    ],
)
async def test_a_connection_is_kept_while_it_is_in_order(
    behaviour: Behaviour, connections: int
) -> None:
    async with (
        faulty_server(behaviour) as server,
        open_transport(backend_for("127.0.0.1"), default_tls(), keep=True) as transport,
    ):
        for _ in range(2):
            assert await ask(transport, server.port) == b"ok"
            await asyncio.sleep(0.1)
        assert server.connections == connections
        await transport.aclose()


async def test_an_answer_that_came_before_its_request_is_not_taken() -> None:
    async with (
        faulty_server(answer_each(OK + OK.replace(b"ok", b"no"))) as server,
        open_transport(backend_for("127.0.0.1"), default_tls(), keep=True) as transport,
    ):
        assert await ask(transport, server.port) == b"ok"
        with pytest.raises(httpcore.RemoteProtocolError):
            await ask(transport, server.port)
        assert await ask(transport, server.port) == b"ok"
        await transport.aclose()


@pytest.mark.allow_hosts(["127.0.0.1", "127.0.1.1", "::1"])
@pytest.mark.parametrize("dead", [["127.0.1.1"], ["::1", "::1", "::1"]])
async def test_a_dead_address_leaves_time_for_the_next(dead: list[str]) -> None:
    backend = backend_for(*dead, "127.0.0.1")
    async with (
        faulty_server(answer_each(OK)) as server,
        full_backlog("127.0.1.1", server.port),
        open_transport(backend, default_tls()) as transport,
        asyncio.timeout(0.9 * TIME["connect"]),
    ):
        assert await ask(transport, server.port) == b"ok"
    assert backend.has_written


async def test_a_name_without_an_address() -> None:
    async with open_transport(backend_for(), default_tls()) as transport:
        with pytest.raises(NoAddress):
            await ask(transport, 443)


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [(close_at_once, TlsFailed), (stay_silent, httpcore.ConnectTimeout), (stay_silent, None)],
)
def test_a_tls_handshake_that_fails_leaves_no_connection(
    behaviour: Behaviour, error: type[Exception] | None
) -> None:
    """On uvloop, as in production. None: the caller's own time runs out."""

    async def play() -> None:
        backend = backend_for("127.0.0.1")
        async with (
            faulty_server(behaviour) as server,
            open_transport(backend, default_tls()) as transport,
        ):
            with pytest.raises(error or TimeoutError):
                async with asyncio.timeout(TIMEOUT if error else 0.3):
                    await ask(transport, server.port, "https")
            await server.empty.wait()
        assert not backend.has_written

    uvloop.run(play())
