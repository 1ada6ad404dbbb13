"""Idempotency-Key: a retry makes no second job."""

import asyncio
from typing import Any

import httpx
import pytest

from receiver.http_api.idempotency import fingerprint
from receiver.json_text import parse
from tests.http_api.scripted_provider import ScriptedProvider, answering
from tests.support.service import (
    JOB,
    MOVIE,
    RunningService,
    eventually,
    listed,
    wait_for_job,
)


async def create(
    client: httpx.AsyncClient, key: str, path: str = "/v1/jobs", **members: Any
) -> httpx.Response:
    return await client.post(path, json=JOB | members, headers={"Idempotency-Key": key})


async def count(client: httpx.AsyncClient) -> int:
    return len(await listed(client, "jobs"))


def assert_replay(first: httpx.Response, again: httpx.Response) -> None:
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert again.status_code == first.status_code
    assert again.content == first.content
    for name in ("Content-Type", "Location", "Preference-Applied"):
        assert again.headers.get(name) == first.headers.get(name)


@pytest.mark.parametrize(
    "path", ["/v1/jobs", "/v1/video/create_movie", "/v1/video/create_narrative"]
)
async def test_the_first_answer_comes_again(
    client: httpx.AsyncClient, provider: ScriptedProvider, path: str
) -> None:
    given = {"prompt_list": ["x"], "image_model": "IMAGEN3"} if "narrative" in path else MOVIE
    first = await create(client, "k", path, input=given)
    await provider.submitted()
    await wait_for_job(client, first.json()["request_id"], phase="accepted")
    assert_replay(first, await create(client, "k", path, input=given))
    assert await count(client) == 1
    assert len(provider.submissions) == 1


async def test_a_held_answer_comes_again_as_it_was(shared_client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "k", "Prefer": "wait=10"}
    first = await shared_client.post("/v1/jobs", json=JOB, headers=headers)
    assert first.json()["done"]
    assert_replay(first, await shared_client.post("/v1/jobs", json=JOB, headers=headers))
    assert_replay(first, await create(shared_client, "k"))


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        ("18446744073709551616", "18446744073709551616", "18446744073709551617"),
        ("30", "30.000000000000000000", "30.00000000000001"),
        ("0", "0e99999999999999999999", "1e-300"),
        ("0.5", "0.50000000000000000000", "0.51"),
        ("1e22", "10e21", "null"),
        ("[1, 2]", "[1.0,2]", "[2, 1]"),
        ("[1, 2]", "[1, 2]", "[1, 2, 3]"),
        ("[1]", "[1]", "[true]"),
        ("[1]", "[1]", '["1"]'),
        ('{"b": "", "a": "\\u00e9"}', '{"a": "é", "b": ""}', '{"a": "e", "b": ""}'),
    ],
)
def test_json_is_the_same_however_it_is_written(one: str, same: str, other: str) -> None:
    first, again, another = (fingerprint({"a": parse(text)}) for text in (one, same, other))
    assert first == again != another


async def test_another_body_on_the_same_path_is_422(shared_client: httpx.AsyncClient) -> None:
    first = await create(shared_client, "k", metadata={"a": "é", "b": ""})
    assert_replay(first, await create(shared_client, "k", metadata={"b": "", "a": "é"}))
    assert (await create(shared_client, "k", "/v1/video/create_movie")).status_code == 200
    others: list[dict[str, Any]] = [{"metadata": {"a": "e", "b": ""}}, {"input": {}}]
    for members in others:
        answer = await create(shared_client, "k", **members)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert await count(shared_client) == 2


async def test_quoted_and_bare_are_the_same_key(shared_client: httpx.AsyncClient) -> None:
    first = await create(shared_client, "a key")
    assert_replay(first, await create(shared_client, '"a key"'))
    quoted = await create(shared_client, '"a \\"quoted\\" \\\\ key"')
    assert_replay(quoted, await create(shared_client, '"a \\"quoted\\" \\\\ key"'))
    for longest in ("x" * 255, '"' + "y" * 255 + '"'):
        assert (await create(shared_client, longest)).status_code == 202


NO_KEYS = ("", '""', "x" * 256, f'"{"x" * 256}"', '"open', 'close"', 'a"b', "é", '"a"b"', '"\\a"')


async def test_a_key_that_is_none_is_400(shared_client: httpx.AsyncClient) -> None:
    for key in NO_KEYS:
        headers = {b"Idempotency-Key": key.encode("latin-1")}
        answer = await shared_client.post("/v1/jobs", json=JOB, headers=headers)
        assert answer.status_code == 400, key
        assert answer.json()["code"] == "invalid_idempotency_key"
    two = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    assert (await shared_client.post("/v1/jobs", json=JOB, headers=two)).status_code == 400
    assert await count(shared_client) == 0


async def test_while_the_first_request_waits_a_second_is_409(
    client: httpx.AsyncClient, provider: ScriptedProvider
) -> None:
    release = provider.hold_submissions()
    first = asyncio.create_task(create(client, "k", "/v1/video/create_movie"))
    await provider.submitted()
    held = await create(client, "k", "/v1/video/create_movie")
    assert (held.status_code, held.headers["Retry-After"]) == (409, "1")
    assert held.json()["code"] == "idempotency_key_in_use"
    other_body = await create(client, "k", "/v1/video/create_movie", input={})
    assert other_body.status_code == 422
    release.set()
    assert_replay(await first, await create(client, "k", "/v1/video/create_movie"))
    assert len(provider.submissions) == 1


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/video/create_movie"])
async def test_equal_requests_at_once_make_one_job(
    client: httpx.AsyncClient, provider: ScriptedProvider, path: str
) -> None:
    answers = await asyncio.gather(*(create(client, "k", path) for _ in range(12)))
    taken = [answer for answer in answers if answer.status_code != 409]
    assert {answer.status_code for answer in taken} <= {200, 202}
    assert len({answer.json()["request_id"] for answer in taken}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in taken) == 1
    assert await count(client) == 1
    await provider.submitted()
    assert len(provider.submissions) == 1


@pytest.mark.parametrize(
    ("path", "headers", "refused"),
    [("/v1/jobs", {"Prefer": "wait=30"}, 202), ("/v1/video/create_movie", {}, 402)],
)
async def test_a_client_that_hangs_up_lets_go_of_its_key(
    service: RunningService,
    client: httpx.AsyncClient,
    provider: ScriptedProvider,
    path: str,
    headers: dict[str, str],
    refused: int,
) -> None:
    """It never got an answer, so the retry's answer is built from the job and shows its refusal."""
    release = provider.hold_submissions(answering(402, {"message": "Insufficient credits"}))
    leaving = service.client(client.headers["API-KEY"], **headers)
    first = asyncio.create_task(create(leaving, "k", path))
    await provider.submitted()
    assert (await create(client, "k", path)).status_code == 409
    first.cancel()
    again = await eventually(
        lambda: create(client, "k", path), lambda answer: answer.status_code != 409
    )
    assert again.headers["Idempotency-Replayed"] == "true"
    (job,) = await listed(client, "jobs")
    assert again.json()["request_id"] == job["request_id"]

    release.set()
    await wait_for_job(client, job["request_id"], status="FAILED")
    again = await create(client, "k", path)
    assert (again.status_code, again.json()["message"]) == (refused, "Insufficient credits")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(provider.submissions) == 1


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/video/create_movie"])
async def test_refused_credentials_free_the_key(
    client: httpx.AsyncClient, provider: ScriptedProvider, path: str
) -> None:
    provider.submit = answering(401, {"message": "Invalid API key"})
    refused = (await create(client, "k", path)).json()["request_id"]
    await wait_for_job(client, refused, done=True)
    provider.submit = None
    again = await create(client, "k", path)
    assert "Idempotency-Replayed" not in again.headers
    assert again.json()["request_id"] != refused
    await wait_for_job(client, again.json()["request_id"], phase="accepted")
