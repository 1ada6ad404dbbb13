"""Each way in which a submission can fail: how it is reported, and how often it was sent."""

import asyncio
import gzip
import ssl

import pytest
import trustme

from receiver.domain.answers import SubmitAccepted, SubmitAmbiguous, SubmitNotSent, SubmitRefused
from store.rows import to_json
from tests.providers.faulty_server import (
    Behaviour,
    Connection,
    answer,
    faulty_server,
    full_backlog,
    stall_after,
    stay_silent,
)
from tests.providers.samsar import ACCEPTED, CALLBACK, INPUT, samsar, submit_to

# Long enough to connect on a loaded machine, and short enough to wait for.
SHORT = 1.0
# Nothing needs to happen in this time, however loaded the machine is.
HUNG = 0.2


# --- what the provider answers ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"Insufficient credits\n", "Insufficient credits"),
        (b"\xef\xbb\xbf a < b,\r\n\tc > d", "a < b,\r\n\tc > d"),
        (b"[E1] caf\xe9", "[E1] caf\ufffd"),
        (b"the key is long-key-1", "the key is \u2026"),
        (b'{"message": "No", "cost": NaN}', "No"),
        *(
            (body, "The provider answered 402.")
            for body in (
                b" \n",
                b"\n<!doctype html>No",
                b'{"message": "No", }',
                b"\x1f\x8b\x08gzip",
            )
        ),
    ],
)
async def test_a_refusal_in_plain_text_is_its_message(body: bytes, message: str) -> None:
    declared = {"Content-Type": "text/html"}  # the content decides
    said, _ = await submit_to(answer(402, body, declared), key="long-key-1")
    assert said == SubmitRefused(402, message)


@pytest.mark.parametrize("body", [b"Insufficient", b'{"mess'])
async def test_the_status_line_of_a_refusal_is_enough(body: bytes) -> None:
    said, server = await submit_to(answer(402, body, length=500))
    assert said == SubmitRefused(402, "The provider answered 402.")
    assert len(server.bodies) == 1


# --- what the network does, before a byte could leave -----------------------------------------


@pytest.mark.parametrize(
    ("name", "is_trusted"),
    [("127.0.0.1", True), ("127.0.0.1", False), ("elsewhere.example", True)],
    ids=["a good certificate", "an unknown authority", "another name"],
)
async def test_only_a_good_certificate_gets_the_submission(name: str, is_trusted: bool) -> None:
    authority = trustme.CA()
    certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(certificate)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    tls = trusting if is_trusted else None
    said, server = await submit_to(answer(200, ACCEPTED), certificate, tls=tls)
    if name == "127.0.0.1" and is_trusted:
        assert said == SubmitAccepted("up-1")
        assert len(server.bodies) == 1
    else:
        assert isinstance(said, SubmitNotSent)
        assert "CERTIFICATE_VERIFY_FAILED" in said.reason
        assert server.bodies == []


async def test_a_connect_or_tls_handshake_that_hangs_is_not_sent() -> None:
    async with full_backlog() as url, samsar(url, submit_timeout=HUNG) as provider:
        said = await provider.submit("create_movie", to_json(INPUT), CALLBACK, "job_1")
    assert isinstance(said, SubmitNotSent)
    async with (
        faulty_server(stay_silent) as server,
        samsar(server.url.replace("http:", "https:"), submit_timeout=HUNG) as provider,
    ):
        said = await provider.submit("create_movie", to_json(INPUT), CALLBACK, "job_1")
    assert isinstance(said, SubmitNotSent)
    assert server.connections == 1


@pytest.mark.parametrize(
    ("coding", "body"),
    [("", ACCEPTED), ("Identity", ACCEPTED), ("gzip", gzip.compress(ACCEPTED, mtime=0))],
)
async def test_a_content_encoding_that_was_not_asked_for(coding: str, body: bytes) -> None:
    said, server = await submit_to(answer(200, body, {"Content-Encoding": coding}))
    assert said == SubmitAccepted("up-1")
    assert "\r\nAccept-Encoding: identity\r\n" in server.heads[0]


# --- what the network does, once bytes may have left ------------------------------------------


async def drip(connection: Connection) -> None:
    """Each single read is fast enough."""
    await connection.receive()
    await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        await connection.send(b" ")
        await asyncio.sleep(SHORT / 20)


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(stall_after(b"HTTP/1.1 200 OK\r\nContent-Length: 22\r\n"), id="half a head"),
        drip,
    ],
)
async def test_an_answer_that_does_not_come_in_time_is_ambiguous(behaviour: Behaviour) -> None:
    said, server = await submit_to(behaviour, submit_timeout=SHORT)
    assert isinstance(said, SubmitAmbiguous)
    assert "no answer in time" in said.reason
    assert len(server.bodies) == 1
