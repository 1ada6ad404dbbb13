"""A link that has grown old is renewed where that is possible, and handed out where it is not."""

import asyncio
import time
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse, Response

from store.errors import StoreUnavailable
from tests.http_api.accepted_job import accepted
from tests.http_api.conftest import Start
from tests.http_api.scripted_provider import ScriptedProvider, refusing_status
from tests.support.service import RunningService, ShiftedClock, metric

OLD, NEW = "https://cdn.example/old.mp4", "https://cdn.example/new.mp4"
AGE = 6 * 24 * 3_600_000 + 60_000


def completed(link: str) -> dict[str, Any]:
    return {"status": "COMPLETED", "result": {"videoUrl": link}}


class Aged:
    """A service with jobs whose links are old; the provider has new ones."""

    def __init__(self, service: RunningService, client: httpx.AsyncClient, jobs: list[str]) -> None:
        self.service = service
        self.jobs = jobs
        self._client = client

    async def link(self, number: int = 0) -> str:
        answer = await self._client.get(f"/v1/jobs/{self.jobs[number]}/result")
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]


async def aged(start: Start, provider: ScriptedProvider, jobs: int = 1, **given: Any) -> Aged:
    clock = ShiftedClock()
    settings = provider.settings() | {"confirm_callbacks": False} | given
    service = await start(**settings, clock=clock)
    client = await service.user()
    ids = []
    for number in range(1, jobs + 1):
        job = await accepted(client, provider)
        await job.send(completed(OLD))
        await job.when(done=True)
        provider.states[f"up-{number}"] = completed(NEW)
        ids.append(job.request_id)
    clock.ahead_ms = AGE
    return Aged(service, client, ids)


async def test_the_link_of_a_provider_that_runs_no_more_is_handed_out(
    start: Start, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = await aged(start, provider)
    monkeypatch.delitem(jobs.service.inner.context.services.providers, "samsar")
    assert await jobs.link() == OLD


async def test_no_renewal_while_the_breaker_is_open(
    start: Start, provider: ScriptedProvider
) -> None:
    jobs = await aged(start, provider, jobs=2)
    provider.status = refusing_status(401)
    assert await jobs.link(0) == OLD
    assert await metric(jobs.service, 'receiver_provider_credentials_refused{provider="samsar"}')
    provider.status = None

    assert await jobs.link(1) == OLD

    assert len(provider.status_calls) == 1


async def test_the_pace_of_polls_holds_for_renewals_too(
    start: Start, provider: ScriptedProvider
) -> None:
    jobs = await aged(start, provider, jobs=2, poll_rate=0.01)
    assert await jobs.link(0) == NEW
    began = time.monotonic()

    assert await jobs.link(1) == OLD

    assert time.monotonic() - began < 10, "nobody waits for the next call, 100 s later"
    assert provider.status_calls == ["up-1"]


async def test_there_is_one_call_at_a_time_for_a_job(
    start: Start, provider: ScriptedProvider
) -> None:
    jobs = await aged(start, provider)
    release = asyncio.Event()

    async def slow(_: str) -> Response:
        await release.wait()
        return JSONResponse(completed(NEW))

    provider.status = slow
    asking = [asyncio.create_task(jobs.link()) for _ in range(5)]
    await provider.asked()
    release.set()

    assert await asyncio.gather(*asking) == [NEW] * 5
    assert provider.status_calls == ["up-1"]
    assert not jobs.service.inner.context.renewals._under_way


async def test_a_link_that_was_just_renewed_is_not_renewed_again(
    start: Start, provider: ScriptedProvider
) -> None:
    jobs = await aged(start, provider)
    read_before = await jobs.service.store.jobs.find(jobs.jobs[0])
    assert read_before is not None
    assert await jobs.link() == NEW

    job = await jobs.service.inner.context.renewals.renew(read_before)

    assert job.result == {"videoUrl": NEW}
    assert provider.status_calls == ["up-1"]


async def test_a_renewed_link_that_cannot_be_kept_is_no_error(
    start: Start, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = await aged(start, provider)

    async def fail(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("the disk is away")

    with monkeypatch.context() as broken:
        broken.setattr(jobs.service.store.jobs, "advance", fail)
        assert await jobs.link() == OLD
    assert await jobs.link() == NEW
