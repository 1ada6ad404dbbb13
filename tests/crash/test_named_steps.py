"""Death at each named step: just before and just after a transaction is committed, before a call of
the provider or of a webhook endpoint, and after its answer."""

import asyncio
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from receiver.sandbox.faults import SandboxRules
from tests.crash.judge import judge
from tests.crash.world import World, running_world
from tests.support.service import eventually

pytestmark = [pytest.mark.long, pytest.mark.timeout(90)]

RULES = SandboxRules(render_seconds=0.8, seed=7)

STEPS = [
    f"{step}/{when}/{1 if step == 'store_response' else 2}"
    for step in (
        *("create", "store_response", "receive", "status"),
        *("StatusCallEnded", "lease", "deliver", "settle"),
    )
    for when in ("before", "after")
]


@pytest.mark.parametrize("step", STEPS)
async def test_death_at_a_step_loses_nothing_and_pays_nothing_twice(
    step: str, tmp_path: Path
) -> None:
    async with running_world(tmp_path, RULES, dies_at=step, UNCONFIRMED_DEADLINE="2") as world:
        asking = [asyncio.create_task(world.submit()) for _ in range(3)]
        await dies_and_starts(world)
        await asyncio.gather(*asking)

        await judge(world, rounds=1)


ONE_SLOT = {"SUBMIT_CONCURRENCY": "1", "UNCONFIRMED_DEADLINE": "2"}
"""The first job's submission begins with its creation; the second one waits for the slot."""


@pytest.mark.parametrize("step", ["create/after/2", "SubmissionBegins/before/1"])
async def test_a_job_whose_submission_had_not_begun_is_sent(step: str, tmp_path: Path) -> None:
    async with running_world(tmp_path, RULES, dies_at=step, **ONE_SLOT) as world:
        _, job = await the_jobs_of_a_death(world, 2)

        await judge(world, rounds=1)
        assert (await world.job(job["request_id"]))["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("step", "jobs"),
    [("create/after/1", 1), ("submit/before/1", 1), ("SubmissionBegins/after/1", 2)],
)
async def test_a_job_that_may_have_been_sent_is_never_sent_again(
    step: str, jobs: int, tmp_path: Path
) -> None:
    async with running_world(tmp_path, RULES, dies_at=step, **ONE_SLOT) as world:
        *sent, job = await the_jobs_of_a_death(world, jobs)

        await judge(world, rounds=1)
        assert await phases(world, job) == [
            "queued",
            "submitting",
            "submit_unconfirmed",
            "finished",
        ]
        error = (await world.job(job["request_id"]))["error"]
        assert (error["code"], error["may_have_been_billed"]) == ("submit_outcome_unknown", True)
        assert len(await world.provider.jobs()) == len(sent)


@pytest.mark.parametrize("step", ["submit/after/1", "SubmitAccepted/before/1"])
async def test_an_answer_that_was_lost_is_made_good_by_the_callback(
    step: str, tmp_path: Path
) -> None:
    rules = SandboxRules(render_seconds=6, seed=7)
    async with running_world(
        tmp_path,
        rules,
        dies_at=step,
        POLL_FIRST="60",
        POLL_MIN="60",
        POLL_MAX="60",
        UNCONFIRMED_DEADLINE="60",
    ) as world:
        (job,) = await the_jobs_of_a_death(world)

        await judge(world, rounds=1)
        assert (await phases(world, job))[:3] == ["queued", "submitting", "submit_unconfirmed"]
        healed = await world.job(job["request_id"])
        assert (healed["status"], healed["evidence"]) == ("COMPLETED", "callback")
        assert len(await world.provider.jobs()) == 1


async def test_an_answer_that_was_recorded_is_polled_after_death(tmp_path: Path) -> None:
    rules = SandboxRules(render_seconds=1.5, drop_callbacks=1, seed=7)
    async with running_world(tmp_path, rules, dies_at="SubmitAccepted/after/1") as world:
        (job,) = await the_jobs_of_a_death(world)
        assert job["provider_request_id"] is not None

        await judge(world, rounds=1)
        assert (await world.job(job["request_id"]))["evidence"] == "poll"


async def phases(world: World, job: dict[str, Any]) -> list[str]:
    """Every phase that the job has been in, by its events."""
    lines = await world.history(job["request_id"])
    return [line["job"]["phase"] for line in lines if line["type"] == "event"]


async def dies_and_starts(world: World) -> None:
    """Wait for the planned death, and start the service without a trap."""
    assert await world.service.ended() == -signal.SIGKILL
    world.service.before = None
    assert await world.service.start() < 5


async def the_jobs_of_a_death(world: World, count: int = 1) -> list[dict[str, Any]]:
    """Submit jobs while the service dies and restarts; return them, the oldest first, once they
    were answered."""
    asking = [asyncio.create_task(world.submit()) for _ in range(count)]
    await dies_and_starts(world)
    return [
        await eventually(
            partial(world.job, request_id),
            lambda job: job["phase"] not in ("queued", "submitting"),
        )
        for request_id in sorted(await asyncio.gather(*asking))
    ]
