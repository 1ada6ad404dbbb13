"""Samsar's calls: their bytes on the wire, and what the answers to status calls become."""

import json
from typing import Any

import pytest

from receiver.domain.answers import (
    Report,
    StatusAnswer,
    StatusReport,
    StatusUnavailable,
    SubmitAccepted,
)
from receiver.upstream.contract import UpstreamJob
from store.records.jobs import Status
from store.rows import to_json
from tests.providers.faulty_server import (
    Behaviour,
    FaultyServer,
    answer,
    answer_each,
    faulty_server,
    http_answer,
    stall_after,
)
from tests.providers.samsar import ACCEPTED, CALLBACK, INPUT, samsar, submit_to

UP_1 = UpstreamJob("up-1", "create_movie", {})


async def ask(
    behaviour: Behaviour, request_id: str = "up-1", **values: Any
) -> tuple[StatusAnswer, FaultyServer]:
    async with faulty_server(behaviour) as server, samsar(server.url, **values) as provider:
        said = await provider.status(UpstreamJob(request_id, "create_movie", {}))
    return said, server


async def test_a_state_is_reported() -> None:
    state = answer(200, b'{"status": "IN_PROGRESS", "progress": 45}', {"Retry-After": "3"})
    said, server = await ask(state, "a b/ä&c=1")
    assert said == StatusReport(Report(Status.IN_PROGRESS, "IN_PROGRESS", 45), 3_000)
    assert server.heads[0].startswith(
        "GET /v1/video/status?request_id=a+b%2F%C3%A4%26c%3D1 HTTP/1.1\r\n"
    )
    assert "\r\nAPI-KEY: key-1\r\n" in server.heads[0]


@pytest.mark.parametrize(("name", "used"), [("request_id", False), ("session_id", True)])
async def test_an_answer_about_another_job_is_of_no_use(name: str, used: bool) -> None:
    said, _ = await ask(answer(200, json.dumps({name: "up-2", "status": "FAILED"}).encode()))
    reason = "a 200 answer without the job's status"
    assert isinstance(said, StatusReport) or said == StatusUnavailable(reason, only_this_job=True)
    assert isinstance(said, StatusReport) is used


async def test_the_whole_call_is_bounded() -> None:
    said, server = await ask(
        stall_after(http_answer(200, b'{"status"', length=500)), status_timeout=1
    )
    assert isinstance(said, StatusUnavailable)
    assert "no answer in time" in said.reason
    assert len(server.bodies) == 1


async def test_status_calls_share_a_connection_and_each_submission_has_its_own() -> None:
    body = b'{"request_id": "up-1", "status": "PENDING"}'
    keep_alive = http_answer(200, body, {"Connection": "keep-alive"})
    async with faulty_server(answer_each(keep_alive)) as server:
        async with samsar(server.url) as provider:
            for _ in range(3):
                assert isinstance(await provider.status(UP_1), StatusReport)
            assert server.connections == 1
            for _ in range(3):
                said = await provider.submit("create_movie", to_json(INPUT), CALLBACK, "job_1")
                assert isinstance(said, SubmitAccepted)
            assert isinstance(await provider.status(UP_1), StatusReport)
        assert server.connections == 4


async def test_a_narrative_goes_upstream_with_an_array() -> None:
    async with faulty_server(answer(200, ACCEPTED)) as server, samsar(server.url) as provider:
        await provider.submit(
            "create_narrative", '{"prompt_list": "One\\r\\nTwo"}', CALLBACK, "job_1"
        )
    assert json.loads(server.bodies[0])["input"] == {"prompt_list": ["One", "Two"]}
    assert server.heads[0].startswith("POST /v1/video/create_narrative ")


async def test_authorization_carries_a_bearer_key() -> None:
    _, server = await submit_to(answer(200, ACCEPTED), auth_header="Authorization")
    for line in ("Authorization: Bearer key-1", "Content-Type: application/json"):
        assert f"\r\n{line}\r\n" in server.heads[0]
