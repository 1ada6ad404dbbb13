"""Bodies that are built to be expensive: they get short answers, and take little of the event loop.
tests/security/test_hostile_lengths.py has the other parts of a request."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from receiver.http_api.errors import MAX_FAULTS
from receiver.http_api.responses import list_response
from receiver.json_text import MAX_DIGITS
from receiver.large_bodies import MAX_VALUES
from tests.simulation.client import Exchange, scope
from tests.support.service import JOB, MOVIE, RunningService

SIZE = 64 * 1024
LONGEST_ANSWER = 8 * 1024
LOOP_SECONDS = 0.05
"""Seconds of the event loop that a request of 64 KiB may take."""

NARRATIVE: dict[str, Any] = {"kind": "create_narrative"}


def filled(make: Callable[[int], Any], item: int) -> bytes:
    """A body of nearly `SIZE` bytes, filled with items of `item` bytes each."""
    body = json.dumps(make((SIZE - 400) // item), separators=(",", ":")).encode()
    assert SIZE // 2 < len(body) <= SIZE
    return body


def numbers(text: str) -> bytes:
    """A body that repeats one number in a member that is not validated."""
    count = (SIZE - 400) // (len(text) + 1)
    return b'{"kind":"create_movie","input":{"x":[%s]}}' % ",".join([text] * count).encode()


BODIES: dict[str, bytes] = {
    "events": filled(lambda n: JOB | {"webhookEvents": [0] * n}, 2),
    "metadata": filled(lambda n: JOB | {"metadata": {f"{i:x}": 0 for i in range(n)}}, 9),
    "metadata names": filled(
        lambda n: JOB | {"metadata": {f"{i}" + "~" * 3_000: 0 for i in range(n)}}, 4_000
    ),
    "lines": filled(lambda n: NARRATIVE | {"input": {"prompt_list": [0] * n}}, 2),
    "blank lines": filled(lambda n: NARRATIVE | {"input": {"prompt_list": "\n" * n}}, 2),
    "a blank prompt": filled(lambda n: JOB | {"input": MOVIE | {"prompt": " " * n}}, 1),
    "unknown members": filled(lambda n: JOB | {f"{i:x}": 0 for i in range(n)}, 9),
    "near misses": filled(lambda n: JOB | {"webhookUr" * 340 + f"{i}": 0 for i in range(n)}, 3_200),
    "a long address": filled(lambda n: JOB | {"webhookUrl": "https://" + "a." * n}, 2),
    "provider": filled(lambda n: JOB | {"provider": "p" * n}, 1),
    "kind": filled(lambda n: JOB | {"kind": ["k"] * n}, 4),
    "short long numbers": numbers("1e308"),
    "whole numbers": numbers("1.0"),
    "long numbers": numbers("9" * MAX_DIGITS),
    "nested": b"[" * SIZE,
    "nested in bounds": b'{"input":' + b"[" * 60 + b"[]," * 15_000 + b"[]" + b"]" * 60 + b"}",
    "surrogates": filled(lambda n: JOB | {"metadata": {"a": ["\ud83d\ude00"] * n}}, 15),
}


async def answered(
    service: RunningService, method: str, target: str, key: str, body: bytes = b""
) -> tuple[int, bytes, float]:
    """The status, the body, and the CPU seconds of this thread: the best of three requests."""
    seen: list[tuple[int, bytes, float]] = []
    for number in range(3):
        exchange = Exchange(body)
        asked = scope(method, target, {"API-KEY": key, "Idempotency-Key": f"key-{number}"})
        began = time.thread_time()
        await service.inner.app(asked, exchange.receive, exchange.send)
        seen.append((exchange.status, bytes(exchange.body), time.thread_time() - began))
    return min(seen, key=lambda each: each[2])


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/video/create_movie"])
async def test_a_hostile_body_gets_a_short_answer_soon(
    shared_service: RunningService, path: str, name: str
) -> None:
    body = BODIES[name]
    if path != "/v1/jobs":  # the drop-in route ignores these members: add a real error
        body = body.replace(b'"prompt":', b'"brompt":')

    status, answer, seconds = await answered(
        shared_service, "POST", path, await shared_service.key(), body
    )

    assert status == 400, answer
    assert len(answer) <= LONGEST_ANSWER
    assert len(json.loads(answer).get("errors", [])) <= MAX_FAULTS
    assert seconds < LOOP_SECONDS


async def test_a_large_input_is_shown_soon(shared_service: RunningService) -> None:
    key = await shared_service.key()
    lists: list[Any] = [[]] * ((MAX_VALUES - 10) // 2)  # each counts twice
    large = JOB | {"input": MOVIE | {"x": lists, "y": "x" * 900_000}}
    body = json.dumps(large, separators=(",", ":")).encode()
    _, created, _ = await answered(shared_service, "POST", "/v1/jobs", key, body)

    target = json.loads(created)["links"]["self"]
    status, answer, seconds = await answered(shared_service, "GET", target, key)

    assert (status, json.loads(answer)["input"]) == (200, large["input"])
    assert seconds < LOOP_SECONDS


async def test_others_are_served_while_a_list_of_megabytes_is_encoded() -> None:
    iterations = 0

    async def serve_others() -> None:
        nonlocal iterations
        while True:
            iterations += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(serve_others())
    entries = [{"long": "x" * 64 * 1024}] * 200
    response = await list_response("jobs", entries, next_cursor=None)
    others.cancel()

    assert json.loads(bytes(response.body)) == {"jobs": entries, "next_cursor": None}
    assert iterations > 5


# --- how many errors are listed -------------------------------------------------------------------


async def test_twenty_faults_are_listed_and_the_rest_is_counted(
    shared_client: httpx.AsyncClient,
) -> None:
    lines = {"prompt_list": [""] * 20, "image_model": "IMAGEN3"}
    twenty = await shared_client.post("/v1/jobs", json={"kind": "create_narrative", "input": lines})
    pointers = [f"/input/prompt_list/{number}" for number in range(20)]
    assert [each["pointer"] for each in twenty.json()["errors"]] == pointers

    body = {
        "kind": "create_narrative",
        "input": {"prompt_list": [""] * 20},  # 20 errors here, and the missing model
        "webhookUrl": 1,
        "webhookEvents": [0] * 5,
        "metadata": {str(number): 0 for number in range(16)},
    }

    problem = (await shared_client.post("/v1/jobs", json=body)).json()

    assert problem["detail"] == "Prompt is required"
    assert [each["pointer"] for each in problem["errors"]] == [*pointers[:19], ""]
    assert problem["errors"][19]["detail"] == "There are 24 more errors, which are not listed."


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("webhook_url", "webhookUrl"),
        ("webhookURL", "webhookUrl"),
        ("webhookEvent", "webhookEvents"),
        ("meta", "metadata"),
        ("Input", "input"),
        ("~/x" + "y" * 100, None),
    ],
)
async def test_an_unknown_member_is_refused_with_the_one_that_was_meant(
    shared_client: httpx.AsyncClient, name: str, meant: str | None
) -> None:
    answer = await shared_client.post("/v1/jobs", json=JOB | {name: 1})

    (fault,) = answer.json()["errors"]
    assert answer.status_code == 400
    assert fault["pointer"] == ("/~0~1x" + "y" * 61 if meant is None else f"/{name}")
    if meant is None:
        assert "the known ones are provider, kind, input," in fault["detail"]
    else:
        assert fault["detail"].endswith(f"did you mean {meant}?")
    assert (await shared_client.get("/v1/jobs")).json()["jobs"] == []
