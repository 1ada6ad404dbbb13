"""Any request to any route gets a documented answer, and none fails through a fault of ours."""

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.http_api.routes import API
from tests.providers.any_json import any_json
from tests.support.service import JOB, MOVIE, RunningService, submit

FUZZ = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

# Parts of paths, queries and headers: a byte of each kind, and words that have a meaning.
WORDS = [
    *("", "0", "-1", "1", "201", "1e309", "NaN", "*"),
    *("\0", "'", '"', "%", "%00", "../..", "\u2028"),
    *("null", "true", "PENDING", "a" * 300, 'W/"1", "2"', "wait=0", "wait=99999999999999999999"),
    *("2026-01-02T03:04:05Z", "9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00+14:00"),
    *("99999999999999999999", "9223372036854775808.abcd", "1.abcd"),
    *("job_" + "0" * 26, "job_" + "Z" * 26, "job_" + "Z" * 26 + "~abc"),
]
TEXTS = st.text(max_size=60) | st.sampled_from(WORDS)
PARAMETERS = """
    request_id status kind limit cursor user state created_after created_before metadata.a metadata.
    ticket last_event_id
"""
QUERIES = st.dictionaries(st.sampled_from(PARAMETERS.split()) | TEXTS, TEXTS, max_size=4)
HEADER_NAMES = """
    idempotency-key prefer if-none-match last-event-id accept content-type content-encoding
    x-request-id origin cookie range expect x-requested-with sec-fetch-site host
"""
CONTROLS = bytes(range(32)) + b"\x7f"
HEADERS = st.dictionaries(
    st.sampled_from(HEADER_NAMES.split()),
    TEXTS.map(lambda text: text.encode("utf-8").translate(None, CONTROLS).strip()),
    max_size=4,
).filter(lambda headers: b"100-continue" not in headers.values())


def _changed(base: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The base, with members replaced by or extended with any other values."""
    names = st.sampled_from([*base, "webhookUrl", "webhookEvents", "metadata"]) | TEXTS
    return st.dictionaries(names, any_json, max_size=3).map(lambda change: base | change)


BODIES = st.one_of(
    st.binary(max_size=200),
    st.one_of(
        any_json,
        _changed(JOB),
        _changed(MOVIE).map(lambda given: JOB | {"input": given}),
        _changed({"request_id": "up-1", "status": "COMPLETED", "result": {}}),
    ).map(lambda value: json.dumps(value).encode()),
)


@pytest.fixture
async def clients(service: RunningService) -> list[httpx.AsyncClient]:
    """Clients without a key, with a user's key, and with an admin's."""
    return [service.client(), await service.user(), await service.user("root", admin=True)]


@pytest.fixture
async def job_id(clients: list[httpx.AsyncClient]) -> str:
    """A job of the user's."""
    return str((await submit(clients[1]))["request_id"])


@FUZZ
@given(st.data())
async def test_every_answer_is_documented_and_none_is_our_fault(
    clients: list[httpx.AsyncClient], job_id: str, data: st.DataObject
) -> None:
    row = data.draw(st.sampled_from(API))
    given = {name: data.draw(TEXTS | st.just(job_id)) for name in _names(row.path)}
    method = data.draw(st.sampled_from([row.method] * 10 + ["HEAD", "OPTIONS", "PUT", "PATCH"]))
    client = data.draw(st.sampled_from(clients))
    # The client's hook checks that the answer is documented. Leaving the block ends a stream.
    async with client.stream(
        method,
        row.path.format_map({name: quote(text, safe="") or "x" for name, text in given.items()}),
        params=data.draw(QUERIES),
        headers=[(name.encode(), value) for name, value in data.draw(HEADERS).items()],
        content=data.draw(BODIES),
    ) as answer:
        assert answer.status_code < 500 or answer.status_code == 503, answer.status_code


def _names(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]
