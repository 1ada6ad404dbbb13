"""The provider's API, over real HTTP, without faults."""

import asyncio
import json

import pytest

from tests.simulator.conftest import MOVIE_PATH, STATUS_PATH, Start
from tests.support.service import MOVIE


async def test_a_job_lives_from_pending_to_a_result_that_opens(start: Start) -> None:
    sandbox = await start()
    made = await sandbox.submit()
    assert made.status_code == 200
    request_id = made.json()["request_id"]
    assert made.json() == {"request_id": request_id}
    assert (await sandbox.status(request_id))["status"] == "PENDING"

    for progress in (25, 50, 75):
        sandbox.clock.advance(2.5)
        [received] = await sandbox.called_back()
        assert received["request_id"] == request_id
        asked = await sandbox.status(request_id)
        for seen in (received, asked):
            assert (seen["status"], seen["progress"]) == ("IN_PROGRESS", progress)
        assert "result" not in asked

    sandbox.clock.advance(2.5)
    [received] = await sandbox.called_back()
    asked = await sandbox.status(request_id)
    assert received == {"request_id": request_id, **asked}
    assert (asked["status"], asked["progress"]) == ("COMPLETED", 100)

    page = await sandbox.client.get(asked["result"]["videoUrl"], headers={"API-KEY": ""})
    assert page.status_code == 200
    assert page.headers["content-type"] == "video/webm"
    assert page.content.startswith(b"\x1aE\xdf\xa3"), "Matroska's magic number"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 400),
        ({"API-KEY": ""}, 400),
        ({"Authorization": "Bearer"}, 400),
        ({"API-KEY": "wrong"}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"api-key": "right"}, 404),
        ({"Authorization": "bearer right"}, 404),
    ],
)
async def test_a_key_is_required(start: Start, headers: dict[str, str], expected: int) -> None:
    client = (await start(api_key="right")).client
    del client.headers["API-KEY"]
    status = await client.get(STATUS_PATH, params={"request_id": "x"}, headers=headers)
    assert status.status_code == expected
    assert list(status.json()) == ["message"]
    if expected != 404:
        assert (await client.post(MOVIE_PATH, headers=headers)).status_code == expected


async def test_an_invalid_submission_is_refused_in_the_providers_words(start: Start) -> None:
    client = (await start()).client

    async def refused(kind: str, content: str) -> str:
        answer = await client.post(f"/v1/video/{kind}", content=content.encode())
        assert answer.status_code == 400
        assert list(answer.json()) == ["message"]
        return str(answer.json()["message"])

    no_address = json.dumps({"input": MOVIE, "webhookUrl": 7})
    assert await refused("create_movie", no_address) == "webhookUrl must be a string"
    too_long = json.dumps({"input": MOVIE | {"duration": 121}})
    assert await refused("create_movie", too_long) == "Duration is too long"
    for body in ("", "{", "[]", '{"input": 1}', '{"input": NaN}'):
        await refused("create_movie", body)
    assert (await client.get("/sandbox")).json()["jobs"] == []


async def test_the_page_shows_what_came_and_no_token(start: Start) -> None:
    sandbox = await start()
    client = sandbox.client
    for _ in range(2):
        await sandbox.made()
    sandbox.clock.advance(10)
    await sandbox.called_back(8)
    assert sandbox.sink.messages == []

    page = await client.get("/sandbox")
    shown = page.json()
    assert [(job["status"], job["input"]) for job in shown["jobs"]] == [("COMPLETED", MOVIE)] * 2
    assert shown["callbacks"]["sent"] == 8
    assert "token" not in page.text
    assert list((await client.get("/nowhere")).json()) == ["message"]
    assert (await client.get(MOVIE_PATH)).status_code == 405
    assert (await client.get("/results/none.webm")).status_code == 404


async def test_a_client_that_is_killed_while_it_submits_is_no_error(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox = await start()
    url = sandbox.client.base_url
    _, writer = await asyncio.open_connection(url.host, url.port)
    head = f"POST {MOVIE_PATH} HTTP/1.1\r\nHost: x\r\nAPI-KEY: secret\r\nContent-Length: 9\r\n\r\n"
    writer.write(head.encode() + b"{")
    await writer.drain()
    # Answered after the sandbox has read the first bytes of the other request.
    await sandbox.made()
    writer.close()
    await writer.wait_closed()
    await sandbox.made()

    assert caplog.records == []
