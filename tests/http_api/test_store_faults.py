"""A store that fails once a job is on disk: an answer that is an error would be paid for twice."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import httpx
import pytest

from store.errors import OutcomeUnknown, StoreFull, StoreUnavailable
from tests.http_api.conftest import Start
from tests.http_api.scripted_provider import ScriptedProvider, answering, never
from tests.support.documented import assert_problem
from tests.support.service import JOB, MOVIE, RunningService, eventually, job_when, submit

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


class Failing:
    """Replaces one method of the store: fails `times` times."""

    def __init__(self, inner: Callable[..., Awaitable[Any]], times: float, error: Exception):
        self._inner = inner
        self._error = error
        self.left = times
        self.failed = 0

    async def __call__(self, *given: Any) -> Any:
        if self.left <= 0:
            return await self._inner(*given)
        self.left -= 1
        self.failed += 1
        raise self._error


Break = Callable[..., Failing]


@pytest.fixture
def break_(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Lets a method fail, always or for so many times."""

    def break_(
        owner: object, method: str, times: float = float("inf"), error: Exception = AWAY
    ) -> Failing:
        failing = Failing(getattr(owner, method), times, error)
        monkeypatch.setattr(owner, method, failing)
        return failing

    return break_


def body_for(path: str) -> dict[str, Any]:
    return {"input": MOVIE} if path == DROP_IN else JOB


async def test_a_client_that_obeys_pays_once_when_a_read_fails(
    service: RunningService,
    client: httpx.AsyncClient,
    provider: ScriptedProvider,
    break_: Break,
    way: Way,
) -> None:
    break_(service.store.jobs, "find", times=1)

    answer = await way.post(client)
    if answer.status_code == 503:  # it says "try again"
        answer = await way.post(client)

    assert answer.status_code == way.status
    await provider.submitted()
    assert len((await client.get("/v1/jobs")).json()["jobs"]) == 1
    await job_when(client, answer.json()["request_id"], phase="accepted")
    assert len(provider.submissions) == 1


async def test_while_no_read_works_the_answer_is_what_is_known(
    provider: ScriptedProvider, start: Start, break_: Break, way: Way
) -> None:
    service = await start(**provider.settings(), submit_wait=1)
    client = await service.user()
    reads = break_(service.store.jobs, "find")

    answer = await way.post(client)

    assert answer.status_code == way.status
    assert answer.json()["request_id"].startswith("job_")
    assert 1 <= reads.failed <= 10, "no busy loop"


async def test_reads_that_work_again_bring_the_outcome(
    service: RunningService,
    client: httpx.AsyncClient,
    provider: ScriptedProvider,
    break_: Break,
    way: Way,
) -> None:
    provider.submit = answering(402, {"message": "Insufficient credits"})
    break_(service.store.jobs, "find", times=2)

    answer = await way.post(client, **({} if way.path == DROP_IN else {"Prefer": "wait=30"}))

    if way.path == DROP_IN:
        assert_problem(answer, 402, "provider_refused")
    else:
        assert (answer.status_code, answer.json()["status"]) == (way.status, "FAILED")


async def test_an_answer_that_cannot_be_kept_is_given_all_the_same(
    service: RunningService, client: httpx.AsyncClient, break_: Break, way: Way
) -> None:
    keeping = break_(service.store.idempotency, "answered")

    answer = await way.post(client, **KEY)

    assert answer.status_code == way.status
    assert keeping.failed == 1
    again = await way.post(client, **KEY)
    assert_problem(again, 409, "idempotency_key_in_use")
    assert len((await client.get("/v1/jobs")).json()["jobs"]) == 1


async def test_a_client_that_hangs_up_is_no_failed_request_where_nothing_can_be_kept(
    service: RunningService, client: httpx.AsyncClient, provider: ScriptedProvider, break_: Break
) -> None:
    provider.submit = never
    keeping = break_(service.store.idempotency, "answered")
    leaving = service.client(client.headers["API-KEY"], **KEY)
    first = asyncio.create_task(leaving.post(DROP_IN, json={"input": MOVIE}))
    await provider.submitted()
    first.cancel()

    await eventually(
        lambda: client.get("/metrics"), lambda answer: 'create_movie",status="499"' in answer.text
    )
    assert keeping.failed == 1


async def test_a_cancel_needs_nothing_after_its_commit(
    service: RunningService,
    client: httpx.AsyncClient,
    provider: ScriptedProvider,
    break_: Break,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider.submit = never
    job = await submit(client)
    await provider.submitted()
    reads = break_(service.store.jobs, "find", times=0)
    advance = service.store.jobs.advance

    async def advance_and_fail(*given: Any, **named: Any) -> Any:
        changed = await advance(*given, **named)
        reads.left = float("inf")
        return changed

    monkeypatch.setattr(service.store.jobs, "advance", advance_and_fail)

    answer = await client.post(f"/v1/jobs/{job['request_id']}/cancel")

    assert (answer.status_code, answer.json()["status"]) == (202, "CANCELLED")


async def test_a_replay_that_cannot_be_read_does_not_deny_its_job(
    service: RunningService,
    client: httpx.AsyncClient,
    provider: ScriptedProvider,
    break_: Break,
    way: Way,
) -> None:
    """No first answer was kept, so the replay has to be built from the job."""
    release = provider.hold_submissions()
    first = asyncio.create_task(way.post(service.client(client.headers["API-KEY"]), **KEY))
    await provider.submitted()
    first.cancel()

    async def again() -> httpx.Response:
        return await client.post(way.path, json=body_for(way.path), headers=KEY)

    known = await eventually(again, lambda answer: answer.status_code != 409)
    request_id = known.json()["request_id"]
    break_(service.store.jobs, "find")

    answer = await again()

    assert answer.json()["request_id"] == request_id
    if way.path == DROP_IN:
        assert answer.status_code == 200
    else:
        problem = assert_problem(answer, 503, "storage_unavailable")
        assert "The job exists" in problem["detail"]
    release.set()


# --- the words ------------------------------------------------------------------------------------


async def test_nothing_was_saved_is_said_where_that_is_sure(
    service: RunningService, client: httpx.AsyncClient, break_: Break
) -> None:
    break_(service.store.jobs, "create", error=StoreFull("the disk is full"))

    problem = assert_problem(await client.post("/v1/jobs", json=JOB), 503, "storage_unavailable")

    assert problem["detail"] == "Storage is unavailable; nothing was saved. Please retry."


@pytest.mark.parametrize("path", ["/v1/jobs", DROP_IN])
async def test_a_commit_whose_fate_is_unknown_has_a_code_of_its_own(
    service: RunningService, client: httpx.AsyncClient, break_: Break, path: str
) -> None:
    lost = OutcomeUnknown("the connection was lost during a commit")
    break_(service.store.jobs, "create", error=lost)

    answer = await client.post(path, json=body_for(path))

    problem = assert_problem(answer, 503, "outcome_unknown")
    assert int(answer.headers["Retry-After"]) > 0
    assert "nothing was" not in problem["detail"].lower()
    assert "Idempotency-Key" in problem["detail"]
    assert "GET /v1/jobs" in problem["detail"]
