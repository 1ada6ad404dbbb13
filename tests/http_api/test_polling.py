"""Status calls of ours: with every callback lost, each job still gets its outcome."""

import asyncio
import time
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse, Response

from tests.http_api.accepted_job import accepted
from tests.http_api.conftest import Start
from tests.http_api.scripted_provider import (
    COMPLETED,
    ScriptedProvider,
    answering,
    never,
    refusing_status,
)
from tests.support.service import (
    RunningService,
    eventually,
    history_of,
    job_of,
    job_when,
    metric,
    submit,
)

QUICK = {"poll_first": 0.05, "poll_min": 0.05, "poll_max": 0.2}


@pytest.fixture
async def service(provider: ScriptedProvider, start: Start) -> RunningService:
    """A service that polls every moment."""
    return await start(**provider.settings() | QUICK)


async def test_lost_callbacks_lose_no_outcome(start: Start) -> None:
    """That some are lost is a case of tests/acceptance/test_unreliable_provider.py."""
    service = await start(**QUICK, sandbox_drop_callbacks=1, sandbox_fail_jobs=0.3, poll_rate=200)
    client = await service.user()
    jobs = [await submit(client) for _ in range(12)]
    for job in jobs:
        finished = await job_when(client, job["request_id"], done=True)
        assert finished["status"] in ("COMPLETED", "FAILED")
        assert finished["evidence"] == "poll"


async def test_polls_bring_progress(client: httpx.AsyncClient, provider: ScriptedProvider) -> None:
    request_id = (await submit(client))["request_id"]
    provider.states["up-1"] = {"status": "UPSCALING", "progress": 40, "message": "Sharper"}
    job = await job_when(client, request_id, progress=40)
    assert (job["status"], job["phase"], job["provider_status"], job["message"]) == (
        "IN_PROGRESS",
        "rendering",
        "UPSCALING",
        "Sharper",
    )
    assert job["evidence"] == "poll"
    provider.states["up-1"] = {"status": "PENDING", "progress": 10}
    seen = len(provider.status_calls)
    await provider.asked(seen + 2)
    assert (await job_of(client, request_id))["progress"] == 40
    provider.states["up-1"] = COMPLETED
    await job_when(client, request_id, status="COMPLETED", progress=100)


@pytest.mark.parametrize(
    ("state", "code"),
    [({"status": "IN_PROGRESS"}, "deadline_exceeded"), ({"status": "COMPLETED"}, "result_missing")],
)
async def test_a_deadline_needs_an_answer_of_the_provider(
    start: Start, provider: ScriptedProvider, state: dict[str, Any], code: str
) -> None:
    service = await start(**provider.settings() | QUICK, job_deadline=0.4)
    client = await service.user()
    provider.status = refusing_status(500)
    request_id = (await submit(client))["request_id"]
    await job_when(client, request_id, phase="accepted")
    # While no answer can be had, the job goes on.
    await asyncio.sleep(0.6)
    assert not (await job_of(client, request_id))["done"]
    provider.status = None
    provider.states["up-1"] = state
    failed = await job_when(client, request_id, done=True)
    assert (failed["status"], failed["error"]["code"]) == ("FAILED", code)
    assert failed["error"]["may_have_been_billed"] is True
    # It is still polled, and the provider's own outcome corrects it.
    provider.states["up-1"] = COMPLETED
    corrected = await job_when(client, request_id, status="COMPLETED")
    assert corrected["error"] is None


@pytest.mark.parametrize(
    ("answer", "calls"),
    [(refusing_status(500), 5), (refusing_status(401), 1), (refusing_status(403), 1)],
)
async def test_a_breaker_opens_and_fails_no_job(
    service: RunningService,
    client: httpx.AsyncClient,
    provider: ScriptedProvider,
    answer: Any,
    calls: int,
) -> None:
    provider.status = answer
    jobs = [(await submit(client))["request_id"] for _ in range(8)]
    state = 'receiver_provider_breaker{provider="samsar",state="open"}'

    await eventually(lambda: metric(service, state), lambda value: value == 1, "an open breaker")
    # Calls that were under way when it opened may end; then single probes alone.
    before = len(provider.status_calls)
    assert calls <= before <= calls + 8
    began = time.monotonic()
    await asyncio.sleep(0.5)
    # A probe may fall into that time, and where it got long, each second one that follows.
    assert len(provider.status_calls) <= before + 1 + (time.monotonic() - began) / 2
    alarm = await metric(service, 'receiver_provider_credentials_refused{provider="samsar"}')
    assert alarm == (1 if calls == 1 else 0)
    for request_id in jobs:
        assert not (await job_of(client, request_id))["done"]

    provider.status = None
    provider.states.default_factory = lambda: dict(COMPLETED)
    for request_id in jobs:
        await job_when(client, request_id, status="COMPLETED")


async def test_an_id_that_is_an_integer_of_any_size_is_polled_and_called_back(
    service: RunningService, provider: ScriptedProvider
) -> None:
    number = 10**30
    provider.submit = answering(200, {"request_id": number})
    job = await accepted(service, provider)
    assert (await job.document())["provider_request_id"] == str(number)
    await job.send({"request_id": number, "status": "IN_PROGRESS"})
    await job.send({"request_id": number + 1, "status": "IN_PROGRESS"}, 409)
    provider.states[str(number)] = {"request_id": number, **COMPLETED}
    await job.when(status="COMPLETED")
    found = await job.client.get("/v1/video/status", params={"request_id": str(number)})
    assert found.json()["request_id"] == job.request_id


async def test_calls_keep_to_the_rate_and_to_their_number(
    start: Start, provider: ScriptedProvider
) -> None:
    settings = provider.settings() | QUICK | {"poll_rate": 20, "poll_concurrency": 2}
    service = await start(**settings)
    at_once = most = 0

    async def slow(_: str) -> Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.02)
        at_once -= 1
        return JSONResponse({"status": "PENDING"})

    provider.status = slow
    client = await service.user()
    began = time.monotonic()
    for _ in range(10):
        await submit(client)
    await provider.asked(30)
    # 20 a second, but for the two that a tenth of a second saves up.
    assert time.monotonic() - began > (30 - 2) / 20 - 0.05
    assert most <= 2


async def test_a_hung_status_call_does_not_block_others(
    client: httpx.AsyncClient, provider: ScriptedProvider
) -> None:
    async def hangs_for_one(request_id: str) -> Response:
        return await never(None) if request_id == "up-1" else JSONResponse(COMPLETED)

    provider.status = hangs_for_one
    stuck = (await submit(client))["request_id"]
    await provider.asked(1)
    other = (await submit(client))["request_id"]
    await job_when(client, other, status="COMPLETED")
    assert not (await job_of(client, stuck))["done"]


async def test_polls_that_change_nothing_are_no_history(
    client: httpx.AsyncClient, provider: ScriptedProvider
) -> None:
    request_id = (await submit(client))["request_id"]
    await job_when(client, request_id, provider_status="PENDING")
    before = await history_of(client, request_id)
    await provider.asked(5)
    assert await history_of(client, request_id) == before


async def test_a_probe_notices_a_provider_that_is_back(
    start: Start, provider: ScriptedProvider
) -> None:
    service = await start(
        **provider.settings() | {"poll_first": 0.05, "poll_min": 600, "poll_max": 600}
    )
    provider.status = refusing_status(401)
    client = await service.user()
    job = await submit(client)
    await provider.asked(2)  # a first call, and a probe
    provider.status = None
    provider.states.default_factory = lambda: dict(COMPLETED)
    await job_when(client, job["request_id"], status="COMPLETED")


async def test_a_job_that_was_never_taken_fails_at_its_deadline(
    start: Start, provider: ScriptedProvider
) -> None:
    provider.submit = answering(429, {})
    service = await start(**provider.settings(), job_deadline=0.5)
    client = await service.user()
    failed = await job_when(client, (await submit(client))["request_id"], done=True)
    assert failed["error"] == {
        "code": "not_submitted",
        "message": failed["message"],
        "retryable": True,
        "may_have_been_billed": False,
    }
