"""A store that fails once a job is on disk: an answer that is an error would be paid for twice."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from store.errors import OutcomeUnknown, StoreFull, StoreUnavailable
from tests.http_api.conftest import Start
from tests.http_api.scripted_provider import ScriptedProvider, answering, never
from tests.http_api.test_errors import assert_problem
from tests.support.service import JOB, MOVIE, RunningService, eventually, job_when, submit

DROP_IN = "/v1/video/create_movie"
WAYS: list[tuple[str, dict[str, str], int]] = [
    (DROP_IN, {}, 200),
    ("/v1/jobs", {"Prefer": "wait=1"}, 202),
]


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


def break_(
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    method: str,
    times: float = float("inf"),
    error: Exception | None = None,
) -> Failing:
    failing = Failing(getattr(owner, method), times, error or StoreUnavailable("the disk is away"))
    monkeypatch.setattr(owner, method, failing)
    return failing


def body_for(path: str) -> dict[str, Any]:
    return {"input": MOVIE} if path == DROP_IN else JOB


@pytest.mark.parametrize(("path", "headers", "status"), WAYS)
async def test_a_client_that_obeys_pays_once_when_a_read_fails(
    service: RunningService,
    provider: ScriptedProvider,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    headers: dict[str, str],
    status: int,
) -> None:
    client = await service.user()
    break_(monkeypatch, service.store.jobs, "find", times=1)

    answer = await client.post(path, json=body_for(path), headers=headers)
    if answer.status_code == 503:  # it says "try again"
        answer = await client.post(path, json=body_for(path), headers=headers)

    assert answer.status_code == status
    await provider.submitted()
    assert len((await client.get("/v1/jobs")).json()["jobs"]) == 1
    await job_when(client, answer.json()["request_id"], phase="accepted")
    assert len(provider.submissions) == 1


@pytest.mark.parametrize(("path", "headers", "status"), WAYS)
async def test_while_no_read_works_the_answer_is_what_is_known(
    provider: ScriptedProvider,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    headers: dict[str, str],
    status: int,
) -> None:
    service = await start(**provider.settings(), submit_wait=1)
    client = await service.user()
    reads = break_(monkeypatch, service.store.jobs, "find")

    answer = await client.post(path, json=body_for(path), headers=headers)

    assert answer.status_code == status
    assert answer.json()["request_id"].startswith("job_")
    assert 1 <= reads.failed <= 10, "no busy loop"


@pytest.mark.parametrize(("path", "headers", "status"), WAYS)
async def test_reads_that_work_again_bring_the_outcome(
    service: RunningService,
    provider: ScriptedProvider,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    headers: dict[str, str],
    status: int,
) -> None:
    provider.submit = answering(402, {"message": "Insufficient credits"})
    client = await service.user()
    break_(monkeypatch, service.store.jobs, "find", times=2)
    headers = {name: value.replace("1", "30") for name, value in headers.items()}

    answer = await client.post(path, json=body_for(path), headers=headers)

    if path == DROP_IN:
        assert_problem(answer, 402, "provider_refused")
    else:
        assert (answer.status_code, answer.json()["status"]) == (status, "FAILED")


@pytest.mark.parametrize(("path", "headers", "status"), WAYS)
async def test_an_answer_that_cannot_be_kept_is_given_all_the_same(
    service: RunningService,
    provider: ScriptedProvider,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    headers: dict[str, str],
    status: int,
) -> None:
    client = await service.user()
    keeping = break_(monkeypatch, service.store.idempotency, "answered")
    headers = {**headers, "Idempotency-Key": "k"}

    answer = await client.post(path, json=body_for(path), headers=headers)

    assert answer.status_code == status
    assert keeping.failed == 1
    again = await client.post(path, json=body_for(path), headers=headers)
    assert_problem(again, 409, "idempotency_key_in_use")
    assert len((await client.get("/v1/jobs")).json()["jobs"]) == 1


async def test_a_client_that_hangs_up_is_no_failed_request_where_nothing_can_be_kept(
    service: RunningService,
    provider: ScriptedProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider.submit = never
    client = await service.user()
    keeping = break_(monkeypatch, service.store.idempotency, "answered")
    leaving = service.client(client.headers["API-KEY"], **{"Idempotency-Key": "k"})
    first = asyncio.create_task(leaving.post(DROP_IN, json={"input": MOVIE}))
    await provider.submitted()
    first.cancel()

    async def counted() -> str:
        return (await client.get("/metrics")).text

    await eventually(counted, lambda text: 'create_movie",status="499"' in text)
    assert keeping.failed == 1


async def test_a_cancel_needs_nothing_after_its_commit(
    service: RunningService, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.submit = never
    client = await service.user()
    job = await submit(client)
    await provider.submitted()
    reads = break_(monkeypatch, service.store.jobs, "find", times=0)
    advance = service.store.jobs.advance

    async def advance_and_fail(*given: Any, **named: Any) -> Any:
        changed = await advance(*given, **named)
        reads.left = float("inf")
        return changed

    monkeypatch.setattr(service.store.jobs, "advance", advance_and_fail)

    answer = await client.post(f"/v1/jobs/{job['request_id']}/cancel")

    assert (answer.status_code, answer.json()["status"]) == (202, "CANCELLED")


@pytest.mark.parametrize(("path", "headers", "status"), WAYS)
async def test_a_replay_that_cannot_be_read_does_not_deny_its_job(
    service: RunningService,
    provider: ScriptedProvider,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    headers: dict[str, str],
    status: int,
) -> None:
    """No first answer was kept, so the replay has to be built from the job."""
    release = provider.hold_submissions()
    client = await service.user()
    leaving = service.client(client.headers["API-KEY"], **headers, **{"Idempotency-Key": "k"})
    first = asyncio.create_task(leaving.post(path, json=body_for(path)))
    await provider.submitted()
    first.cancel()

    async def again() -> httpx.Response:
        return await client.post(path, json=body_for(path), headers={"Idempotency-Key": "k"})

    known = await eventually(again, lambda answer: answer.status_code != 409)
    request_id = known.json()["request_id"]
    break_(monkeypatch, service.store.jobs, "find")

    answer = await again()

    assert answer.json()["request_id"] == request_id
    if path == DROP_IN:
        assert answer.status_code == 200
    else:
        problem = assert_problem(answer, 503, "storage_unavailable")
        assert "The job exists" in problem["detail"]
    release.set()


# --- the words ------------------------------------------------------------------------------------


async def test_nothing_was_saved_is_said_where_that_is_sure(
    service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await service.user()
    break_(monkeypatch, service.store.jobs, "create", error=StoreFull("the disk is full"))

    problem = assert_problem(await client.post("/v1/jobs", json=JOB), 503, "storage_unavailable")

    assert problem["detail"] == "Storage is unavailable; nothing was saved. Please retry."


@pytest.mark.parametrize("path", ["/v1/jobs", DROP_IN])
async def test_a_commit_whose_fate_is_unknown_has_a_code_of_its_own(
    service: RunningService, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    client = await service.user()
    lost = OutcomeUnknown("the connection was lost during a commit")
    break_(monkeypatch, service.store.jobs, "create", error=lost)

    answer = await client.post(path, json=body_for(path))

    problem = assert_problem(answer, 503, "outcome_unknown")
    assert int(answer.headers["Retry-After"]) > 0
    assert "nothing was" not in problem["detail"].lower()
    assert "Idempotency-Key" in problem["detail"]
    assert "GET /v1/jobs" in problem["detail"]
