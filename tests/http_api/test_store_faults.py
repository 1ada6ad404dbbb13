"""A store that fails once a job is on disk: answering with an error would be paid for twice."""

import asyncio
import sys
from itertools import chain, repeat
from typing import Any, NamedTuple
from unittest.mock import DEFAULT, AsyncMock

import httpx
import pytest

from store.errors import OutcomeUnknown, StoreFull, StoreUnavailable
from tests.http_api.scripted_provider import ScriptedProvider
from tests.support.documented import assert_problem
from tests.support.service import (
    JOB,
    MOVIE,
    RunningService,
    eventually,
    listed,
    wait_for_job,
)

DROP_IN = "/v1/video/create_movie"
AWAY = StoreUnavailable("the disk is away")
KEY = {"Idempotency-Key": "k"}


class Way(NamedTuple):
    """A request that creates a job, and waits for it."""

    path: str
    headers: dict[str, str]
    status: int

    async def post(self, client: httpx.AsyncClient, **further: str) -> httpx.Response:
        headers = self.headers | further
        return await client.post(self.path, json=body_for(self.path), headers=headers)


@pytest.fixture(params=[Way(DROP_IN, {}, 200), Way("/v1/jobs", {"Prefer": "wait=1"}, 202)])
def way(request: pytest.FixtureRequest) -> Way:
    made: Way = request.param
    return made


class Site(NamedTuple):
    """A service whose store can be broken, its user, and its provider."""

    service: RunningService
    client: httpx.AsyncClient
    provider: ScriptedProvider
    patch: pytest.MonkeyPatch

    def break_(
        self, part: str, method: str, times: int = sys.maxsize, error: Exception = AWAY
    ) -> AsyncMock:
        """Make a method of a part of the store fail, always or this many times."""
        owner = getattr(self.service.store, part)
        ends = chain(repeat(error, times), repeat(DEFAULT))
        failing = AsyncMock(wraps=getattr(owner, method), side_effect=ends)
        self.patch.setattr(owner, method, failing)
        return failing

    async def jobs(self) -> int:
        return len(await listed(self.client, "jobs"))


@pytest.fixture
def site(
    service: RunningService,
    client: httpx.AsyncClient,
    provider: ScriptedProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> Site:
    return Site(service, client, provider, monkeypatch)


def body_for(path: str) -> dict[str, Any]:
    return {"input": MOVIE} if path == DROP_IN else JOB


async def test_a_client_that_obeys_pays_once_when_a_read_fails(site: Site, way: Way) -> None:
    site.break_("jobs", "find", times=1)

    answer = await way.post(site.client)
    if answer.status_code == 503:  # the answer says "try again"
        answer = await way.post(site.client)

    assert answer.status_code == way.status
    await site.provider.submitted()
    assert await site.jobs() == 1
    await wait_for_job(site.client, answer.json()["request_id"], phase="accepted")
    assert len(site.provider.submissions) == 1


async def test_an_answer_that_cannot_be_kept_is_given_all_the_same(site: Site, way: Way) -> None:
    keeping = site.break_("idempotency", "store_response")

    answer = await way.post(site.client, **KEY)

    assert answer.status_code == way.status
    assert keeping.await_count >= 1
    again = await way.post(site.client, **KEY)
    assert_problem(again, 409, "idempotency_key_in_use")
    site.service.clock.ahead_ms = 20_000  # the request's wait would be over: from the job, then
    again = await way.post(site.client, **KEY)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (way.status, "true")
    assert again.json()["request_id"] == answer.json()["request_id"]
    assert await site.jobs() == 1


async def test_a_replay_that_cannot_be_read_does_not_deny_its_job(site: Site, way: Way) -> None:
    """The first answer was not stored, so the replay has to be built from the job."""
    release = site.provider.hold_submissions()
    leaving = site.service.client(site.client.headers["API-KEY"])
    first = asyncio.create_task(way.post(leaving, **KEY))
    await site.provider.submitted()
    first.cancel()

    async def again() -> httpx.Response:
        return await site.client.post(way.path, json=body_for(way.path), headers=KEY)

    known = await eventually(again, lambda answer: answer.status_code != 409)
    request_id = known.json()["request_id"]
    site.break_("jobs", "find")

    answer = await again()

    assert answer.json()["request_id"] == request_id
    if way.path == DROP_IN:
        assert answer.status_code == 200
    else:
        problem = assert_problem(answer, 503, "storage_unavailable")
        assert "The job exists" in problem["detail"]
    release.set()


# --- the words ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/jobs", DROP_IN])
async def test_what_is_sure_is_said(site: Site, path: str) -> None:
    site.break_("jobs", "create", error=StoreFull("the disk is full"))
    full = await site.client.post(path, json=body_for(path))
    problem = assert_problem(full, 503, "storage_unavailable")
    assert problem["detail"] == "Storage is unavailable; nothing was saved. Please retry."

    site.break_("jobs", "create", error=OutcomeUnknown("the connection was lost during a commit"))
    lost = await site.client.post(path, json=body_for(path))
    problem = assert_problem(lost, 503, "outcome_unknown")
    assert int(lost.headers["Retry-After"]) > 0
    assert "nothing was" not in problem["detail"].lower()
    assert "Idempotency-Key" in problem["detail"]
    assert "GET /v1/jobs" in problem["detail"]
