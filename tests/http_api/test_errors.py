"""Every refusal has the same shape, whatever is wrong with the request."""

import json
from typing import Any
from unittest.mock import AsyncMock

import httpx
import pytest

from receiver.large_bodies import MAX_VALUES
from tests.http_api.conftest import Start
from tests.http_api.raw_http import raw_connection, request_bytes
from tests.support.documented import assert_problem
from tests.support.service import JOB, MOVIE, RunningService

# --- addresses and methods ------------------------------------------------------------------------


UNKNOWN = (
    *("/v1", "/v1/", "/v1/jobs/", "/v1/nothing", "/v2/jobs", "/%2e%2e/etc/passwd", "/v1/video"),
    "/v1/jobs/job_x%0A",
)


async def test_an_unknown_path_is_404_with_and_without_a_key(
    shared_service: RunningService,
) -> None:
    for client in (shared_service.client(), await shared_service.user()):
        for method in ("GET", "POST", "DELETE"):
            for path in UNKNOWN:
                assert_problem(await client.request(method, path), 404, "unknown_path")


WRONG_METHODS = [
    ("DELETE", "/v1/jobs", {"GET", "HEAD", "POST"}),
    ("PUT", "/v1/jobs/job_x", {"GET", "HEAD"}),
    ("GET", "/v1/jobs/job_x/cancel", {"POST"}),
    ("GET", "/v1/video/create_movie", {"POST"}),
    ("POST", "/v1/video/status", {"GET", "HEAD"}),
    ("GET", "/webhooks/samsar/token", {"POST"}),
    ("HEAD", "/v1/events", {"GET"}),
    ("HEAD", "/v1/jobs/job_x/events", {"GET"}),
    ("POST", "/livez", {"GET", "HEAD"}),
    ("PROPFIND", "/v1/jobs", {"GET", "HEAD", "POST"}),
]


async def test_a_wrong_method_is_405_with_the_allowed_ones(shared_service: RunningService) -> None:
    for method, path, allow in WRONG_METHODS:
        answer = await shared_service.client().request(method, path)
        assert answer.status_code == 405, path
        assert set(answer.headers["Allow"].split(", ")) == allow
        if method != "HEAD":
            assert_problem(answer, 405, "method_not_allowed")


# --- bodies ---------------------------------------------------------------------------------------

BAD_BODIES = [
    *(b"", b"{", b"{} {}", b"{'input': {}}", b"[]", b'"x"', b"null", b"1"),
    *(b'{"input": %b}' % number for number in (b"NaN", b"Infinity", b"-Infinity", b"1e309")),
    b'{"input": ' + b"9" * 1_001 + b"}",
    *(b'{"a":' + b"[" * depth + b"]" * depth + b"}" for depth in (64, 40_000)),
    b'{"a":' * 40_000,
    *(b'{"input": {"prompt": "\\%b"}}' % lone for lone in (b"ud800", b"udc00\\ud800")),
    *(b'{"\\udfff": 1}', b'{"input": {"x": [{"y": ["\\ud83d"]}]}}'),
    # Invalid UTF-8, a surrogate in UTF-8, an overlong form, and a control character.
    *(
        b'{"input": {"prompt": "%b"}}' % raw
        for raw in (b"\xff", b"\xed\xa0\x80", b"\xc0\xaf", b"a\nb")
    ),
    '{"input": {}}'.encode("utf-16"),
]


async def test_a_body_that_is_no_json_object_is_400(shared_client: httpx.AsyncClient) -> None:
    for path in ("/v1/jobs", "/v1/video/create_movie"):
        for content in BAD_BODIES:
            answer = await shared_client.post(path, content=content)
            assert answer.status_code == 400, content[:40]
            assert_problem(answer, 400, "invalid_json")
    assert (await shared_client.get("/v1/jobs")).json()["jobs"] == []


async def test_a_body_of_too_many_values_is_400(shared_client: httpx.AsyncClient) -> None:
    beside = 3  # the kind, the input, its list
    for path in ("/v1/jobs", "/v1/video/create_movie", "/v1/deliveries/retry", "/v1/webhook-tests"):
        for more in ("1", "[1]", '{"a":1}', "1,[]"):
            values = "0," * (MAX_VALUES - beside) + more
            content = f'{{"kind":"create_movie","input":{{"x":[{values}]}}}}'
            problem = assert_problem(
                await shared_client.post(path, content=content), 400, "too_many_values"
            )
            assert "50,000" in problem["detail"]


async def test_a_body_of_as_many_values_as_may_be_is_accepted(
    shared_client: httpx.AsyncClient,
) -> None:
    beside = 8  # the kind, the input, and the six members of that
    text = '[{",\\' * MAX_VALUES
    for more, status in ((0, 202), (1, 400)):
        numbers = [0] * (MAX_VALUES - beside + more)
        body = JOB | {"input": MOVIE | {"x": numbers, "y": text}}
        content = json.dumps(body, separators=(",", ":"))
        assert (await shared_client.post("/v1/jobs", content=content)).status_code == status


async def test_unusual_json_is_accepted(shared_client: httpx.AsyncClient) -> None:
    deep: Any = "bottom"
    for _ in range(62):  # with the body and its input, 64 levels
        deep = [deep]
    odd = {"smile": "\U0001f600", "deep": deep, "big": 10**999, "text": "\u2028\x7f\u0085"}
    content = json.dumps(JOB | {"input": MOVIE | odd}).encode()
    assert b"\\ud83d\\ude00" in content
    assert (await shared_client.post("/v1/jobs", content=content)).status_code == 202


async def test_a_fault_in_a_body_is_named_by_its_pointer(shared_client: httpx.AsyncClient) -> None:
    wrong = {
        "kind": "create_movie",
        "input": {"prompt": "", "image_model": "no", "duration": 121},
        "webhookUrl": 5,
        "webhookEvents": ["COMPLETED", "LATER"],
        "metadata": {"a": 1, "x/y~z": None},
    }
    problem = assert_problem(
        await shared_client.post("/v1/jobs", json=wrong), 400, "invalid_request"
    )
    assert problem["message"] == "Prompt is required"
    assert [fault["pointer"] for fault in problem["errors"]] == [
        "/input/prompt",
        "/input/image_model",
        "/input/video_model",
        "/input/duration",
        "/webhookUrl",
        "/webhookEvents/1",
        "/metadata/a",
        "/metadata/x~1y~0z",
    ]
    assert all(fault["detail"] for fault in problem["errors"])


async def test_a_body_over_the_limit_is_413(start: Start) -> None:
    service = await start(max_body_bytes=1_000)
    key = await service.key()
    client = service.client(key)
    fitting = json.dumps(JOB).encode().ljust(1_000)
    assert (await client.post("/v1/jobs", content=fitting)).status_code == 202
    assert_problem(await client.post("/v1/jobs", content=fitting + b" "), 413, "body_too_large")
    # Refused by its Content-Length; without one, as soon as it is over the limit.
    claimed = request_bytes("POST", "/v1/jobs", API_KEY=key, Content_Length="1001")
    chunk = b"400\r\n" + b" " * 1_024 + b"\r\n"
    chunked = request_bytes("POST", "/v1/jobs", chunk, API_KEY=key, Transfer_Encoding="chunked")
    for request in (claimed, chunked):
        async with raw_connection(service.url) as connection:
            assert (await connection.ask(request)).status_code == 413


async def test_an_encoded_body_is_415(shared_client: httpx.AsyncClient) -> None:
    for encoding in ("gzip", "br", "identity, gzip", "x"):
        answer = await shared_client.post(
            "/v1/jobs", json=JOB, headers={"Content-Encoding": encoding}
        )
        assert_problem(answer, 415, "unsupported_content_encoding")
    plain = await shared_client.post("/v1/jobs", json=JOB, headers={"Content-Encoding": "Identity"})
    assert plain.status_code == 202


# --- ids and faults of ours -----------------------------------------------------------------------


async def test_each_response_has_an_id(shared_service: RunningService) -> None:
    """A hook in every test checks that documented routes have one."""
    client = shared_service.client()
    paths = ("/livez", "/livez", "/metrics", "/nowhere", "/v1/jobs", "/v1/events", "/")
    given = {(await client.get(path)).headers["X-Request-ID"] for path in paths}
    assert len(given) == len(paths)


async def test_a_bug_is_500_without_details(
    shared_service: RunningService,
    shared_client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = AsyncMock(side_effect=RuntimeError("the secret plan"))
    monkeypatch.setattr(shared_service.store.jobs, "list_page", broken)
    answer = await shared_client.get("/v1/jobs")
    assert_problem(answer, 500, "internal_error")
    assert "secret" not in answer.text
    assert "RuntimeError" not in answer.text
