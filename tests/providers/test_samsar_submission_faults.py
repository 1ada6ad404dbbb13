"""Each way in which a submission can go wrong: the word on it, and how often it was really sent."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

import pytest
import trustme

from receiver.domain.observations import (
    SubmitAccepted,
    SubmitAmbiguous,
    SubmitAnswer,
    SubmitNotSent,
    SubmitRefused,
)
from receiver.providers.answers import Account
from receiver.providers.calls import MAX_ANSWER_BYTES
from receiver.providers.samsar import Samsar
from tests.providers.faulty_server import (
    Behaviour,
    FaultyServer,
    answer,
    answer_when,
    close_after_request,
    close_at_once,
    faulty_server,
    full_backlog,
    http_answer,
    refused_url,
    reset_after_request,
    send_raw,
    stall_after,
    stay_silent,
)

INPUT = {
    "prompt": "A heron",
    "image_model": "IMAGEN3",
    "video_model": "LUMA",
    "duration": 30,
    "later_member": {"kept": [1, None]},
}
CALLBACK = "https://receiver.example/webhooks/samsar/token"
NOW = 1_767_323_045_000
ACCEPTED = b'{"request_id": "up-1"}'
# Long enough for a loaded machine to connect, short enough to wait for.
SHORT = 1.0
# Nothing has to come about in this time, however loaded the machine is.
HUNG = 0.2


class FixedClock:
    def now(self) -> int:
        return NOW

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("the adapter waits for nothing but the network")


@asynccontextmanager
async def samsar(base_url: str, **values: Any) -> AsyncIterator[Samsar]:
    auth_header = values.pop("auth_header", "API-KEY")
    values = {"key": "key-1", "submit_timeout": 10.0, **values}
    provider = Samsar(
        Account("samsar", base_url, clock=FixedClock(), **values),
        image_models=["IMAGEN3"],
        video_models=["LUMA"],
        auth_header=auth_header,
    )
    try:
        yield provider
    finally:
        await provider.close()


async def submit_to(
    behaviour: Behaviour, certificate: ssl.SSLContext | None = None, **values: Any
) -> tuple[SubmitAnswer, FaultyServer]:
    async with (
        faulty_server(behaviour, certificate) as server,
        samsar(server.url, **values) as provider,
    ):
        said = await provider.submit("create_movie", INPUT, CALLBACK)
    return said, server


# --- what the provider answers ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "request_id"),
    [
        (b'{"request_id": "up-1"}', "up-1"),
        (b'{"request_id": 42}', "42"),
        (b'{"request_id": 9223372036854775808}', "9223372036854775808"),
        (b'{"request_id": -9223372036854775809}', "-9223372036854775809"),
        (b'{"request_id": 1' + b"0" * 199 + b"}", "1" + "0" * 199),
        (b'{"request_id": "' + b"x" * 200 + b'"}', "x" * 200),
        (b'{"session_id": "s-1"}', "s-1"),
        (b'{"request_id": null, "session_id": "s-1"}', "s-1"),
        (b'\xef\xbb\xbf{"request_id": "up-1"}', "up-1"),
        (b'{"request_id": "a\\u0000\\ud800b"}', "a\ufffd\ufffdb"),
    ],
)
@pytest.mark.parametrize("status", [200, 202])
async def test_an_answer_with_an_id_is_accepted(status: int, body: bytes, request_id: str) -> None:
    said, server = await submit_to(answer(status, body))
    assert said == SubmitAccepted(request_id)
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>all is well</html>",
        b"[]",
        b'"up-1"',
        b"{}",
        b'{"request_id": ""}',
        b'{"request_id": true}',
        b'{"request_id": 1.5}',
        b'{"request_id": 1e30}',
        b'{"request_id": 1' + b"0" * 200 + b"}",
        b'{"request_id": {"id": 1}}',
        b'{"request_id": "' + b"x" * 201 + b'", "session_id": "s-1"}',
        b'{"request_id": "up-1", "cost": NaN}',
        b'{"request_id": "up-1", "cost": 1e309}',
        b'{"request_id": "up-1", "cost": ' + b"9" * 5000 + b"}",
        b'{"request_id": "up-1", "deep": ' + b"[" * 64 + b"]" * 64 + b"}",
        b"[" * 100_000,
        b'{"request_id": "up-1"}' + b" " * MAX_ANSWER_BYTES,
    ],
    ids=lambda body: repr(body[:40]),
)
async def test_a_success_that_cannot_be_read_is_ambiguous(body: bytes) -> None:
    said, server = await submit_to(answer(200, body))
    assert isinstance(said, SubmitAmbiguous)
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": {"message": "No"}}', "No"),
        (b'{"error": "No"}', "No"),
        (b"<html>", "The provider answered 400."),
        (b"", "The provider answered 400."),
    ],
)
async def test_the_message_of_a_refusal_is_found_in_any_shape(body: bytes, message: str) -> None:
    said, _ = await submit_to(answer(400, body))
    assert said == SubmitRefused(400, message)


@pytest.mark.parametrize(
    "declared", [{}, {"Content-Type": "text/plain"}, {"Content-Type": "text/html"}]
)
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"Insufficient credits\n", "Insufficient credits"),
        (b"\xef\xbb\xbf a < b,\r\n\tc > d", "a < b,\r\n\tc > d"),
        (b"[E1] caf\xe9", "[E1] caf\ufffd"),
        (b"the key is long-key-1", "the key is \u2026"),
        (b" \n", "The provider answered 402."),
        (b"\n<!doctype html>No", "The provider answered 402."),
        (b'{"message": "No", "cost": NaN}', "The provider answered 402."),
        (b"\x1f\x8b\x08gzip", "The provider answered 402."),
        ("No".encode("utf-16"), "The provider answered 402."),
    ],
)
async def test_a_refusal_in_plain_text_is_its_message(
    body: bytes, message: str, declared: dict[str, str]
) -> None:
    said, _ = await submit_to(answer(402, body, declared), key="long-key-1")
    assert said == SubmitRefused(402, message)


async def test_half_a_text_is_not_a_message() -> None:
    said, _ = await submit_to(answer(402, b"Insufficient", length=500))
    assert said == SubmitRefused(402, "The provider answered 402.")


async def test_the_status_line_of_a_refusal_is_enough() -> None:
    said, server = await submit_to(answer(402, b'{"mess', length=500))
    assert said == SubmitRefused(402, "The provider answered 402.")
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("0", 0),
        ("7", 7_000),
        (formatdate(NOW / 1000 + 90, usegmt=True), 90_000),
        (formatdate(NOW / 1000 - 90, usegmt=True), 0),
        ("9" * 5000, 86_400_000),
        ("86401", 86_400_000),
    ],
    ids=lambda value: str(value)[:30],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_later_is_not_sent(status: int, header: str, wait: int) -> None:
    said, server = await submit_to(answer(status, b'{"message": "Busy"}', {"Retry-After": header}))
    assert said == SubmitNotSent("Busy", wait, status_code=status)
    assert len(server.bodies) == 1


@pytest.mark.parametrize("header", [{}, {"Retry-After": "soon"}, {"Retry-After": "-5"}])
async def test_without_a_valid_retry_after_429_is_not_sent_and_503_is_ambiguous(
    header: dict[str, str],
) -> None:
    said, _ = await submit_to(answer(429, b"", header))
    assert said == SubmitNotSent("The provider answered 429.", None, status_code=429)
    said, _ = await submit_to(answer(503, b"", header))
    assert said == SubmitAmbiguous("The provider answered 503.")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_ambiguous_and_never_followed(status: int) -> None:
    async with faulty_server(answer(200, ACCEPTED)) as elsewhere:
        said, server = await submit_to(answer(status, ACCEPTED, {"Location": elsewhere.url}))
    assert isinstance(said, SubmitAmbiguous)
    assert len(server.bodies) == 1
    assert elsewhere.connections == 0


# --- what the network does, before a byte could leave -----------------------------------------


async def test_no_address_is_not_sent() -> None:
    async with samsar("http://no-such-host.invalid/v1/video/") as provider:
        said = await provider.submit("create_movie", INPUT, CALLBACK)
    assert isinstance(said, SubmitNotSent)


async def test_a_plain_answer_to_a_tls_hello_is_not_sent() -> None:
    async def answer_blindly(connection: Any) -> None:
        await connection.send(http_answer(400, b"this is no HTTPS port"))

    async with (
        faulty_server(answer_blindly) as server,
        samsar(server.url.replace("http:", "https:")) as provider,
    ):
        said = await provider.submit("create_movie", INPUT, CALLBACK)
    assert isinstance(said, SubmitNotSent)
    assert said.reason.startswith("could not connect")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_a_certificate_of_an_unknown_authority_is_not_sent(
    server_tls: ssl.SSLContext,
) -> None:
    said, server = await submit_to(answer(200, ACCEPTED), server_tls)
    assert isinstance(said, SubmitNotSent)
    assert "CERTIFICATE_VERIFY_FAILED" in said.reason
    assert server.bodies == []


async def test_a_certificate_of_a_trusted_authority_is_accepted(
    authority: trustme.CA, server_tls: ssl.SSLContext
) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    said, server = await submit_to(answer(200, ACCEPTED), server_tls, tls=trusting)
    assert said == SubmitAccepted("up-1")
    assert len(server.bodies) == 1


async def test_a_certificate_for_another_name_is_not_sent(authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    said, server = await submit_to(answer(200, ACCEPTED), context, tls=trusting)
    assert isinstance(said, SubmitNotSent)
    assert server.bodies == []


@pytest.mark.parametrize(
    ("connect_timeout", "submit_timeout"),
    [(HUNG, 10.0), (10.0, HUNG)],
    ids=["its own limit", "the limit of the whole"],
)
async def test_a_connect_that_hangs_is_not_sent(
    connect_timeout: float, submit_timeout: float
) -> None:
    async with (
        full_backlog() as url,
        samsar(url, connect_timeout=connect_timeout, submit_timeout=submit_timeout) as provider,
    ):
        said = await provider.submit("create_movie", INPUT, CALLBACK)
    assert isinstance(said, SubmitNotSent)


@pytest.mark.parametrize(
    ("connect_timeout", "submit_timeout"),
    [(HUNG, 10.0), (10.0, HUNG)],
    ids=["its own limit", "the limit of the whole"],
)
async def test_a_tls_handshake_that_hangs_is_not_sent(
    connect_timeout: float, submit_timeout: float
) -> None:
    async with (
        faulty_server(stay_silent) as server,
        samsar(
            server.url.replace("http:", "https:"),
            connect_timeout=connect_timeout,
            submit_timeout=submit_timeout,
        ) as provider,
    ):
        said = await provider.submit("create_movie", INPUT, CALLBACK)
    assert isinstance(said, SubmitNotSent)
    assert server.connections == 1


# --- what the network does, once bytes may have left ------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "sent"),
    [
        pytest.param(close_at_once, 0, id="accepted and closed"),
        pytest.param(close_after_request, 1, id="closed after the request"),
        pytest.param(reset_after_request, 1, id="reset after the request"),
        pytest.param(answer(200, ACCEPTED, length=500), 1, id="half a body"),
        pytest.param(send_raw(b"HTTP/1.1 200 OK\r\nContent-Le"), 1, id="half a head"),
        pytest.param(send_raw(b"220 mail.example ESMTP\r\n"), 1, id="no HTTP"),
        pytest.param(
            send_raw(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"req'),
            1,
            id="half a chunk",
        ),
        pytest.param(
            answer(200, ACCEPTED, {"Content-Encoding": "gzip"}), 1, id="gzip that is none"
        ),
    ],
)
async def test_a_broken_exchange_is_ambiguous(behaviour: Behaviour, sent: int) -> None:
    said, server = await submit_to(behaviour)
    assert isinstance(said, SubmitAmbiguous)
    assert said.reason
    assert server.connections == 1
    assert len(server.bodies) == sent


@pytest.mark.parametrize(
    "raw",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 22\r\n", http_answer(200, b'{"req', length=22)],
    ids=["silence", "half a head", "half a body"],
)
async def test_an_answer_that_does_not_come_in_time_is_ambiguous(raw: bytes) -> None:
    said, server = await submit_to(stall_after(raw), submit_timeout=SHORT)
    assert isinstance(said, SubmitAmbiguous)
    assert "no answer within 1 s" in said.reason
    assert len(server.bodies) == 1


async def test_the_whole_is_bounded_where_no_single_read_is_slow() -> None:
    async def drip(connection: Any) -> None:
        await connection.receive()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            await connection.send(b" ")
            await asyncio.sleep(SHORT / 20)

    said, server = await submit_to(drip, submit_timeout=SHORT)
    assert isinstance(said, SubmitAmbiguous)
    assert len(server.bodies) == 1


async def test_an_answer_after_the_timeout_is_not_waited_for() -> None:
    gate = asyncio.Event()
    async with (
        faulty_server(answer_when(gate, http_answer(200, ACCEPTED))) as server,
        samsar(server.url, submit_timeout=SHORT) as provider,
    ):
        said = await provider.submit("create_movie", INPUT, CALLBACK)
        gate.set()
    assert isinstance(said, SubmitAmbiguous)
    assert len(server.bodies) == 1


async def test_a_cancelled_submission_is_not_sent_again() -> None:
    async with (
        faulty_server(stall_after(b"")) as server,
        samsar(server.url) as provider,
    ):
        call = asyncio.create_task(provider.submit("create_movie", INPUT, CALLBACK))
        await server.received.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert len(server.bodies) == 1


# --- what goes over the wire ------------------------------------------------------------------


async def test_the_body_is_the_input_and_the_callback_alone() -> None:
    _, server = await submit_to(answer(200, ACCEPTED))
    assert json.loads(server.bodies[0]) == {"input": INPUT, "webhookUrl": CALLBACK}
    head = server.heads[0]
    assert head.startswith("POST /v1/video/create_movie HTTP/1.1\r\n")
    assert "\r\nAPI-KEY: key-1\r\n" in head
    assert "\r\nContent-Type: application/json\r\n" in head


async def test_a_narrative_goes_upstream_with_an_array() -> None:
    given = {"prompt_list": "One\r\n\n Two \rThree", "image_model": "IMAGEN3"}
    async with (
        faulty_server(answer(200, ACCEPTED)) as server,
        samsar(server.url) as provider,
    ):
        await provider.submit("create_narrative", given, CALLBACK)
    assert json.loads(server.bodies[0])["input"]["prompt_list"] == ["One", " Two ", "Three"]
    assert server.heads[0].startswith("POST /v1/video/create_narrative ")
    assert given["prompt_list"] == "One\r\n\n Two \rThree"


async def test_authorization_carries_a_bearer_key() -> None:
    _, server = await submit_to(answer(200, ACCEPTED), auth_header="Authorization")
    assert "\r\nAuthorization: Bearer key-1\r\n" in server.heads[0]


async def test_each_submission_has_a_connection_of_its_own() -> None:
    keep_alive = http_answer(200, ACCEPTED, {"Connection": "keep-alive"})
    async with (
        faulty_server(stall_after(keep_alive)) as server,
        samsar(server.url) as provider,
    ):
        for _ in range(3):
            assert isinstance(
                await provider.submit("create_movie", INPUT, CALLBACK), SubmitAccepted
            )
    assert server.connections == len(server.bodies) == 3


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", refused_url())
    monkeypatch.setenv("ALL_PROXY", refused_url())
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    said, _ = await submit_to(answer(200, ACCEPTED))
    assert said == SubmitAccepted("up-1")
