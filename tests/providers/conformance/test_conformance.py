"""The calls that every provider makes. Add a new provider to `each.SUBJECTS`."""

import json

import pytest

from receiver.domain.answers import (
    StatusAnswer,
    StatusMissing,
    StatusReport,
    StatusUnavailable,
    SubmitAccepted,
    SubmitAmbiguous,
    SubmitAnswer,
    SubmitNotSent,
    SubmitRefused,
)
from receiver.upstream.calls import MAX_ANSWER_BYTES
from receiver.upstream.contract import Provider, UpstreamJob
from store.rows import to_json
from tests.providers.conformance.each import each_subject
from tests.providers.conformance.subjects import (
    CALLBACK,
    KEY,
    TOKEN,
    Subject,
    as_body,
    opened,
)
from tests.providers.faulty_server import (
    Behaviour,
    FaultyServer,
    answer,
    close_after_request,
    close_at_once,
    faulty_server,
    refused_url,
    reset_after_request,
    send_raw,
)

pytestmark = each_subject()


async def submit(subject: Subject, provider: Provider) -> SubmitAnswer:
    kind, job_input = subject.good_kinds[0], to_json(subject.good_input)
    return await provider.submit(kind, job_input, CALLBACK, "job_1")


async def submitted(subject: Subject, behaviour: Behaviour) -> tuple[SubmitAnswer, FaultyServer]:
    async with faulty_server(behaviour) as server, opened(subject, server.url) as provider:
        said = await provider.submit(
            subject.good_kinds[0], to_json(subject.good_input), CALLBACK, "job_1"
        )
    return said, server


async def asked(subject: Subject, behaviour: Behaviour) -> tuple[StatusAnswer, FaultyServer]:
    async with faulty_server(behaviour) as server, opened(subject, server.url) as provider:
        said = await provider.status(UpstreamJob("up-1", subject.good_kinds[-1], {}))
    return said, server


# --- submissions ----------------------------------------------------------------------------------


async def test_kinds(subject: Subject) -> None:
    async with opened(subject, "http://127.0.0.1:1/") as provider:
        for kind in subject.good_kinds:
            assert provider.check_kind(kind) is None, kind
        assert provider.check(subject.good_kinds[0], subject.good_input) == []
        for kind in subject.bad_kinds:
            assert "kind must be" in (provider.check_kind(kind) or ""), kind


async def test_a_submission_is_one_call_and_names_its_callback(subject: Subject) -> None:
    said, server = await submitted(subject, answer(201, as_body(subject.accepted)))
    assert isinstance(said, SubmitAccepted)
    assert said.provider_request_id == "up-1"
    (head,), (body,) = server.heads, server.bodies
    assert head.startswith("POST ")
    assert TOKEN in head + body.decode()
    assert KEY in head
    sent = json.loads(body)
    assert subject.good_input.items() <= {**sent, **sent.get("input", {})}.items()


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        *((code, {}, SubmitRefused) for code in (400, 401, 402, 403, 404, 409, 422)),
        (429, {"Retry-After": "7"}, SubmitNotSent),
        (429, {}, SubmitNotSent),
        (503, {"Retry-After": "7"}, SubmitNotSent),
        (503, {"Retry-After": "soon"}, SubmitAmbiguous),
        *((code, {"Retry-After": "7"}, SubmitAmbiguous) for code in (408, 500, 502, 504, 599)),
        *((code, {"Location": "/elsewhere"}, SubmitAmbiguous) for code in (301, 302, 307, 308)),
    ],
)
async def test_answers_that_are_not_an_acceptance(
    subject: Subject, status: int, headers: dict[str, str], expected: type
) -> None:
    body = {**subject.accepted, **subject.refusal("No such luck.")}
    said, server = await submitted(subject, answer(status, as_body(body), headers))
    assert type(said) is expected
    assert len(server.bodies) == 1
    if isinstance(said, SubmitRefused):
        assert said.status_code == status
        assert "No such luck." in said.message
        assert said.credentials_refused == (status in (401, 403))
    if isinstance(said, SubmitNotSent):
        assert said.retry_after == (7_000 if headers else None)
        assert said.status_code == status


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("9", 9), ("8.1", 9), ('"9"', 9), ("1e300", 86_400), ("true", None), ("-1.5", None)],
)
async def test_retry_after_in_the_body_of_a_429_counts(
    subject: Subject, value: str, seconds: int | None
) -> None:
    body = b'{"retry_after": %s}' % value.encode()
    for headers in ({}, {"Retry-After": "soon"}):
        said, _ = await submitted(subject, answer(429, body, headers))
        assert isinstance(said, SubmitNotSent)
        assert said.retry_after == (None if seconds is None else seconds * 1_000)


DEEP = b'{"request_id": "up-1", "id": "up-1", "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
ACCEPTED = b'{"id": "up-1", "request_id": "up-1"}'
READ_NOTHING = (b"", b"<html>", b"[]", b"{}", b'"up-1"')


@pytest.mark.parametrize(
    "behaviour",
    [
        *(answer(200, body) for body in (*READ_NOTHING, b'{"id": [], "request_id": true}', DEEP)),
        answer(200, ACCEPTED + b" " * MAX_ANSWER_BYTES),
        answer(200, ACCEPTED, length=500),
        answer(200, ACCEPTED, {"Content-Encoding": "gzip"}),
        send_raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
        send_raw(b"220 mail.example ESMTP\r\n"),
        close_after_request,
        reset_after_request,
    ],
)
async def test_a_submission_that_may_have_arrived_is_ambiguous(
    subject: Subject, behaviour: Behaviour
) -> None:
    said, server = await submitted(subject, behaviour)
    assert isinstance(said, SubmitAmbiguous)
    assert len(server.bodies) == 1


async def test_a_submission_that_was_surely_not_sent(subject: Subject) -> None:
    async with opened(subject, refused_url()) as provider:
        said = await provider.submit(
            subject.good_kinds[0], to_json(subject.good_input), CALLBACK, "job_1"
        )
        assert isinstance(await provider.status(provider.absent_job), StatusUnavailable)
        if subject.cancels:
            assert (await provider.cancel(provider.absent_job)).outcome == "not_sent"
    assert isinstance(said, SubmitNotSent)
    assert said.status_code is None
    assert said.reason.startswith("could not connect")


async def test_neither_key_nor_token_is_quoted(subject: Subject) -> None:
    text = f"{KEY} and {CALLBACK} are wrong"
    body = as_body(subject.refusal(text))
    for raw in (body, body.replace(KEY[:1].encode(), b"\\u%04x" % ord(KEY[0])), text.encode()):
        said, _ = await submitted(subject, answer(400, raw))
        assert isinstance(said, SubmitRefused)
        assert "are wrong" in said.message
        assert KEY not in said.message
        assert TOKEN not in said.message


# --- status calls ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, StatusMissing),
        *((code, StatusUnavailable) for code in (302, 400, 401, 402, 403, 429, 500, 502, 503, 504)),
    ],
)
async def test_status_calls_without_a_status(subject: Subject, status: int, expected: type) -> None:
    later = {"Retry-After": "7", "Location": "/elsewhere"}
    said, server = await asked(subject, answer(status, as_body(subject.refusal("No.")), later))
    assert type(said) is expected
    assert not isinstance(said, StatusReport)
    assert said.retry_after == 7_000
    assert len(server.heads) == 1
    if isinstance(said, StatusUnavailable):
        assert "No." in said.reason
        assert said.credentials_refused == (status in (401, 403))
        assert said.only_this_job == (status in (302, 400, 402))


@pytest.mark.parametrize(
    ("behaviour", "only_this_job"),
    [
        *((answer(200, b), True) for b in (*READ_NOTHING, b"NaN", b'{"status": 7}')),
        (close_at_once, False),
        (close_after_request, False),
        (reset_after_request, False),
        (send_raw(b"no HTTP\r\n"), False),
        (answer(200, b'{"status": "COMPLETED"}', length=500), False),
    ],
)
async def test_a_state_that_cannot_be_read(
    subject: Subject, behaviour: Behaviour, only_this_job: bool
) -> None:
    said, _ = await asked(subject, behaviour)
    assert isinstance(said, StatusUnavailable)
    assert said.only_this_job == only_this_job


# --- cancelling -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(202, "accepted"), (400, "refused"), (429, "unavailable"), (500, "unavailable")],
)
async def test_cancelling(subject: Subject, status: int, outcome: str) -> None:
    """A provider that cannot cancel refuses without a call."""
    async with (
        faulty_server(answer(status, b"{}")) as server,
        opened(subject, server.url) as provider,
    ):
        assert provider.can_cancel == subject.cancels
        said = await provider.cancel(UpstreamJob("up/1", subject.good_kinds[0], {}))
    expected = (outcome, status) if subject.cancels else ("refused", None)
    assert (said.outcome, said.status_code) == expected
    assert ["up%2F1" in head for head in server.heads] == [True] * subject.cancels
