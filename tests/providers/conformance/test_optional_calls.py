"""The calls that some providers have: cancelling, and looking up a submission whose answer was
lost."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from receiver.clock import SystemClock
from receiver.domain.answers import LookUpAnswer, StatusMissing, StatusUnavailable, SubmitAccepted
from receiver.providers.contract import UpstreamJob
from tests.providers.conformance.subjects import (
    CALLBACK,
    KEY,
    TOKEN,
    Subject,
    as_body,
    each_subject,
    opened,
)
from tests.providers.faulty_server import (
    Behaviour,
    FaultyServer,
    answer,
    close_after_request,
    close_at_once,
    faulty_server,
)

NOW = SystemClock().now()


# --- cancelling -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "accepted"),
        (202, "accepted"),
        (400, "refused"),
        (404, "refused"),
        (500, "unavailable"),
    ],
)
@each_subject(lambda subject: subject.cancels)
async def test_cancelling(subject: Subject, status: int, outcome: str) -> None:
    async with (
        faulty_server(answer(status, b"{}")) as server,
        opened(subject, server.url) as provider,
    ):
        said = await provider.cancel(UpstreamJob("up/1", subject.good_kinds[0], {}))
    assert (said.outcome, said.status_code) == (outcome, status)
    (head,) = server.heads
    assert head.split(" ")[0] in ("POST", "PUT", "DELETE")
    assert "up%2F1" in head


# --- looking up a submission ----------------------------------------------------------------------


each_with_list = each_subject(lambda subject: subject.listed is not None)


async def looked_up(subject: Subject, behaviour: Behaviour) -> tuple[LookUpAnswer, FaultyServer]:
    async with faulty_server(behaviour) as server, opened(subject, server.url) as provider:
        said = await provider.look_up(CALLBACK, NOW - 60_000, NOW)
    return said, server


@each_with_list
async def test_a_submission_is_looked_up_by_exactly_its_callback_url(subject: Subject) -> None:
    listed: Callable[[str], Mapping[str, Any]] | None = subject.listed
    assert listed is not None
    said, server = await looked_up(subject, answer(200, as_body(listed(CALLBACK))))
    assert said == SubmitAccepted("up-1")
    (head,) = server.heads
    assert head.startswith("GET ")
    assert KEY in head
    assert TOKEN not in head
    for other in (CALLBACK[:-1], CALLBACK + "t", CALLBACK.upper(), "", "\ud800"):
        said, _ = await looked_up(subject, answer(200, as_body(listed(other))))
        assert isinstance(said, StatusMissing), other


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        *((answer(code, b"{}"), StatusUnavailable) for code in (401, 403, 404, 429, 500, 302)),
        (close_at_once, StatusUnavailable),
        (close_after_request, StatusUnavailable),
        *(
            (answer(200, body), StatusMissing)
            for body in (b"", b"<html>", b"[]", b"{}", b'{"results": 7}')
        ),
    ],
)
@each_with_list
async def test_a_look_up_that_cannot_be_read(
    subject: Subject, behaviour: Behaviour, expected: type
) -> None:
    said, _ = await looked_up(subject, behaviour)
    assert type(said) is expected
