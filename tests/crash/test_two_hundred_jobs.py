"""Two hundred jobs with a provider whose callbacks are lost or come twice."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from receiver.sandbox.faults import SandboxRules
from tests.crash.judge import judge
from tests.crash.world import running_world

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]

JOBS = 200
CLIENTS = 20


async def test_every_callback_is_lost(tmp_path: Path) -> None:
    rules = SandboxRules(render_seconds=2, drop_callbacks=1, fail_jobs=0.2)
    async with running_world(tmp_path, rules) as world:
        await world.submit_all(range(JOBS), CLIENTS, partial(asyncio.sleep, 0))

        tally = await judge(world)

        assert (tally.jobs, tally.callbacks, tally.unknown) == (JOBS, 0, 0)
        assert {job["evidence"] for job in await world.all_jobs()} == {"poll"}
        assert len(await world.provider.jobs()) == JOBS


async def test_callbacks_come_twice(tmp_path: Path) -> None:
    rules = SandboxRules(render_seconds=2, duplicate_callbacks=1, fail_jobs=0.2)
    async with running_world(tmp_path, rules) as world:
        await world.submit_all(range(JOBS), CLIENTS, partial(asyncio.sleep, 0))

        tally = await judge(world)

        assert (tally.jobs, tally.unknown) == (JOBS, 0)
        assert tally.callbacks > JOBS
        assert len(await world.provider.jobs()) == JOBS
