"""A submission creates one job, whatever becomes of the answer."""

import json
import re

import pytest

from receiver.client import ApiError, AsyncClient, Unreachable
from tests.client.conftest import OURS, no_sleep
from tests.providers.faulty_server import (
    Connection,
    answer,
    close_after_request,
    faulty_server,
    http_answer,
)
from tests.support.service import JOB, RunningService


def header(head: str, name: str) -> str:
    """The value of a header in the head of a request."""
    found = re.search(rf"(?i)^{name}: (.*)\r$", head, re.MULTILINE)
    assert found, head
    return found[1]


async def test_a_lost_response_is_requested_again_and_creates_no_second_job(
    shared_service: RunningService,
) -> None:
    key = await shared_service.key("loses answers")

    async def lose_the_first(connection: Connection) -> None:
        await connection.receive()
        head, body = proxy.heads[-1], proxy.bodies[-1]
        said = await shared_service.client(key).post(
            "/v1/jobs", content=body, headers={"Idempotency-Key": header(head, "Idempotency-Key")}
        )
        if proxy.connections > 1:
            await connection.send(http_answer(said.status_code, said.content, OURS))

    async with (
        faulty_server(lose_the_first) as proxy,
        AsyncClient(proxy.url, key, sleep=no_sleep) as client,
    ):
        job = await client.submit(JOB)
        assert proxy.connections == 2
    async with AsyncClient(shared_service.url, key) as direct:
        listed = (await direct.list())["jobs"]
        assert [each["request_id"] for each in listed] == [job["request_id"]]


async def test_submitting_gives_up_after_three_attempts() -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async with (
        faulty_server(close_after_request) as server,
        AsyncClient(server.url, "key", sleep=sleep) as client,
    ):
        with pytest.raises(Unreachable) as caught:
            await client.submit(JOB)
    assert len(server.bodies) == 3
    (key,) = {header(head, "Idempotency-Key") for head in server.heads}
    assert caught.value.__notes__ == [
        f"The job may exist: submit it again with the idempotency key {key!r}."
    ]
    assert pauses == [1.0, 1.0]


@pytest.mark.parametrize(
    ("status", "code", "attempts"),
    [
        (503, "outcome_unknown", 3),
        (503, "idempotency_key_in_use", 3),
        (503, "storage_unavailable", 1),
        (504, "http_error", 3),
        (404, "http_error", 1),
    ],
)
async def test_only_an_unknown_outcome_is_requested_again_with_the_same_key(
    status: int, code: str, attempts: int
) -> None:
    problem = json.dumps({"code": code, "detail": "?"}).encode()
    headers = {"Retry-After": "2"} if code == "http_error" else OURS  # a proxy's, or the service's
    async with (
        faulty_server(answer(status, problem, headers)) as server,
        AsyncClient(server.url, "key", sleep=no_sleep) as client,
    ):
        with pytest.raises(ApiError) as caught:
            await client.submit(JOB)
    assert caught.value.code == code
    assert len(server.bodies) == attempts
    assert len({header(head, "Idempotency-Key") for head in server.heads}) == 1
