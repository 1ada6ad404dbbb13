"""One user's jobs, however many there are or are refused, do not delay the jobs of others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from starlette.responses import JSONResponse, Response

from tests.http_api.scripted_provider import (
    ScriptedProvider,
    Submission,
    answering,
    scripted_provider,
)
from tests.support.service import (
    MOVIE,
    RunningService,
    ShiftedClock,
    eventually,
    history_of,
    job_of,
    running_service,
    submit,
    wait_for_job,
)

LATER = answering(503, {"message": "Busy."}, **{"Retry-After": "86400"})


@asynccontextmanager
async def world(
    folder: Path, **given: Any
) -> AsyncIterator[tuple[RunningService, ScriptedProvider, ShiftedClock]]:
    clock = ShiftedClock()
    async with scripted_provider() as provider:
        settings = provider.settings() | {"providers": "sandbox"} | given
        async with running_service(folder, clock=clock, **settings) as service:
            yield service, provider, clock


async def submit_of(client: httpx.AsyncClient, prompt: str) -> str:
    job = await submit(client, input=MOVIE | {"prompt": prompt})
    return str(job["request_id"])


async def seen(provider: ScriptedProvider, count: int) -> list[str]:
    """The prompts (here: the users) of the submissions, once this many have arrived, in order."""
    await provider.submitted(count)
    return [each.body["input"]["prompt"] for each in provider.submissions]


async def refusals(client: httpx.AsyncClient, job_id: str, count: int) -> None:
    """Wait until the provider has told the job "later" `count` times."""
    await eventually(
        lambda: history_of(client, job_id, "submission"),
        lambda lines: len(lines) >= count,
        f"refusal {count}",
    )


async def is_held(client: httpx.AsyncClient, job_id: str, provider: ScriptedProvider) -> None:
    """A later job, of another provider, has been sent by now, and this one has not."""
    before = len(provider.submissions)
    later = (await submit(client, provider="sandbox"))["request_id"]
    await eventually(lambda: job_of(client, later), lambda job: job["provider_request_id"])
    assert (await job_of(client, job_id))["phase"] == "queued"
    assert len(provider.submissions) == before


async def refuse_mallory(submission: Submission) -> Response:
    """Tells mallory "later", and accepts everybody else."""
    if submission.body["input"]["prompt"] == "mallory":
        return await LATER(submission)
    return JSONResponse({"request_id": f"up-{id(submission)}"})


async def test_many_slow_jobs_cost_another_user_one_slot_s_time(tmp_path: Path) -> None:
    slots = asyncio.Semaphore(0)

    async def answer(_: Submission) -> Response:
        await slots.acquire()
        return provider.accept()

    async with world(tmp_path) as (service, provider, _):
        provider.submit = answer
        mallory, bob = await service.user("mallory"), await service.user("bob")
        for _ in range(6):
            await asyncio.gather(*(submit_of(mallory, "mallory") for _ in range(20)))
        assert await seen(provider, 32) == ["mallory"] * 32

        for _ in range(3):
            await submit_of(bob, "bob")
        for number in range(3):
            slots.release()
            assert (await seen(provider, 33 + number))[32:] == ["bob"] * (number + 1)

        provider.submit = None  # otherwise the shutdown would wait for the calls that hang
        for _ in range(32):
            slots.release()


async def test_who_is_always_told_later_holds_the_others_once(tmp_path: Path) -> None:
    async with world(tmp_path) as (service, provider, clock):
        provider.submit = refuse_mallory
        mallory, bob = await service.user("mallory"), await service.user("bob")
        refused = [await submit_of(mallory, "mallory")]
        await refusals(mallory, refused[0], 1)
        waiting = await submit_of(bob, "bob")
        await is_held(bob, waiting, provider)

        # The hold lasts a minute, although the provider asks for a day.
        clock.ahead_ms += 61_000
        await wait_for_job(bob, waiting, phase="accepted")

        # From now on mallory's refusals hold nobody else.
        for _ in range(3):
            refused.append(await submit_of(mallory, "mallory"))
            await refusals(mallory, refused[-1], 1)
            await wait_for_job(bob, await submit_of(bob, "bob"), phase="accepted")
            clock.ahead_ms += 301_000
        # A job with a Retry-After of a day waits until its deadline and is not sent again.
        for job_id in refused:
            assert len(await history_of(mallory, job_id, "submission")) == 1


async def test_a_held_job_fails_at_its_deadline_and_not_later(tmp_path: Path) -> None:
    async with world(tmp_path, job_deadline=20) as (service, provider, clock):
        provider.submit = LATER
        bob = await service.user("bob")
        await refusals(bob, await submit_of(bob, "bob"), 1)
        waiting = await submit_of(bob, "bob")
        await is_held(bob, waiting, provider)

        clock.ahead_ms += 21_000

        job = await wait_for_job(bob, waiting, done=True)
        assert job["error"]["code"] == "not_submitted"
        assert len(provider.submissions) == 1


async def test_holds_survive_a_restart(tmp_path: Path) -> None:
    async with world(tmp_path) as (service, provider, _):
        provider.submit = LATER
        bob = await service.user("bob")
        await refusals(bob, await submit_of(bob, "bob"), 1)
    async with world(tmp_path) as (service, provider, clock):
        bob = await service.user("bob")
        waiting = await submit_of(bob, "bob")
        await is_held(bob, waiting, provider)
        clock.ahead_ms += 61_000
        await wait_for_job(bob, waiting, phase="accepted")
