"""Results: links are handed out, and old ones are renewed first."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from starlette.responses import JSONResponse

from store.errors import StoreUnavailable
from tests.http_api.accepted_job import AcceptedJob, create_accepted_job
from tests.http_api.conftest import Start
from tests.http_api.scripted_provider import ScriptedProvider, refusing_status
from tests.support.service import RunningService

OLD, NEW = "https://cdn.example/old.mp4", "https://cdn.example/new.mp4"
AWAY = StoreUnavailable("the disk is away")
MINUTE = 60_000
AGE = 6 * 24 * 60 * MINUTE
"""The age at which a link is renewed."""


def completed(link: str, **more: str) -> dict[str, Any]:
    return {"status": "COMPLETED", "result": {"videoUrl": link, **more}}


async def test_a_result_is_a_redirect_once_there_is_one(
    provider: ScriptedProvider, trusting_job: AcceptedJob
) -> None:
    job, path = trusting_job, f"{trusting_job.path}/result"
    early = await job.client.get(path)
    assert (early.status_code, early.json()["code"]) == (409, "no_result")
    link = "https://cdn.example/a b/é日.mp4?sig=%2F&x=1"
    await job.send({"status": "COMPLETED", "video": {"url": link}})
    await job.wait_for(done=True)
    found = await job.client.get(path)
    assert found.status_code == 302
    assert found.headers["Location"] == (
        "https://cdn.example/a%20b/%C3%A9%E6%97%A5.mp4?sig=%2F&x=1"
    )
    assert provider.status_calls == []


async def test_a_result_with_further_links_is_answered_as_it_is(trusting_job: AcceptedJob) -> None:
    result = {"poster": "https://cdn.example/1.jpg", "videoUrl": "https://cdn.example/1.mp4"}
    await trusting_job.send({"status": "COMPLETED", "result": result})
    await trusting_job.wait_for(done=True)
    path = f"{trusting_job.path}/result"
    whole = await trusting_job.client.get(path)
    assert (whole.status_code, whole.json()) == (200, result)
    for n, name in ((1, "videoUrl"), (2, "poster")):
        answer = await trusting_job.client.get(path, params={"n": n})
        assert (answer.status_code, answer.headers["Location"]) == (302, result[name])


# --- old links ------------------------------------------------------------------------------------


class AgedJob(AcceptedJob):
    """A job whose link is old; the provider has a new one."""

    service: RunningService

    async def link(self, n: int = 1) -> str:
        answer = await self.client.get(f"{self.path}/result", params={"n": n})
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]


async def aged(
    start: Start,
    provider: ScriptedProvider,
    old: Mapping[str, Any] = completed(OLD),
    new: Mapping[str, Any] = completed(NEW),
    **given: Any,
) -> AgedJob:
    service = await start(**provider.settings(), confirm_callbacks=False, **given)
    made = await create_accepted_job(service, provider)
    job = AgedJob(made.client, made.request_id, made.callback_url)
    await job.send(old)
    await job.wait_for(done=True)
    provider.states["up-1"] = {**new}
    service.clock.ahead_ms = AGE + MINUTE
    job.service = service
    return job


@pytest.fixture
async def aging(start: Start, provider: ScriptedProvider) -> AgedJob:
    return await aged(start, provider)


async def test_an_old_link_is_renewed_and_nothing_else_changes(
    aging: AgedJob, provider: ScriptedProvider
) -> None:
    before = await aging.client.get(aging.path)
    aging.service.clock.ahead_ms = AGE - MINUTE
    assert await aging.link() == OLD
    assert provider.status_calls == []
    aging.service.clock.ahead_ms = AGE + MINUTE
    provider.status = refusing_status(500)
    assert await aging.link() == OLD
    provider.status = None
    for _ in range(2):
        assert await aging.link() == NEW
    assert provider.status_calls == ["up-1", "up-1"]
    renewed = await aging.client.get(aging.path, headers={"If-None-Match": before.headers["ETag"]})
    assert renewed.json() == before.json() | {"result": {"videoUrl": NEW}}


@pytest.mark.parametrize("is_archived", [False, True])
async def test_every_link_of_an_old_result_is_renewed(
    start: Start, provider: ScriptedProvider, tmp_path: Path, *, is_archived: bool
) -> None:
    """If it is archived, the links that could not be stored are renewed: these lead to a refused
    address."""
    old, new = (completed(f"https://10.0.0.1/{age}", poster=f"https://10.0.0.1/{age}.jpg")
                for age in ("old", "new"))  # fmt: skip
    given: dict[str, Any] = {"archive_url": f"file://{tmp_path}/kept"} if is_archived else {}
    aging = await aged(start, provider, old, new, **given)
    for n, name in ((2, "poster"), (1, "videoUrl")):
        assert await aging.link(n) == new["result"][name]
    assert provider.status_calls == ["up-1"]


async def test_there_is_one_call_at_a_time_for_a_job(
    aging: AgedJob, provider: ScriptedProvider
) -> None:
    release = asyncio.Event()

    async def held(_: str) -> JSONResponse:
        await release.wait()
        return JSONResponse(completed(NEW))

    provider.status = held
    asking = [asyncio.create_task(aging.link()) for _ in range(5)]
    await provider.asked()
    release.set()

    assert await asyncio.gather(*asking) == [NEW] * 5
    assert provider.status_calls == ["up-1"]


async def test_a_renewed_link_that_cannot_be_kept_is_no_error(
    aging: AgedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(aging.service.store.jobs, "advance", AsyncMock(side_effect=AWAY))
        assert await aging.link() == OLD
    assert await aging.link() == NEW
