"""The calls that some providers have: cancelling, and looking up a submission whose answer was
lost."""

import pytest

from receiver.clock import SystemClock
from receiver.providers.contract import UpstreamJob
from tests.providers.conformance.subjects import (
    Subject,
    each_subject,
    opened,
)
from tests.providers.faulty_server import (
    answer,
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
