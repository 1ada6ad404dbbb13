"""Places at a provider, shared by three replicas that are killed: no job too many, and a user's
single jobs do not wait behind another's flood."""

import asyncio
import contextlib
import random
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import cycle
from operator import itemgetter
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pytest

from receiver.clock import SystemClock
from receiver.simulator.faults import SimulatorRules
from store.records.times import Millis
from tests.crash.processes import caller
from tests.crash.surroundings import Provider, movie
from tests.crash.world import FINISH_TIMEOUT, Order, World
from tests.replicas.cluster import Cluster, running_cluster
from tests.replicas.faults import inject_fault
from tests.support.postgres_server import binaries
from tests.support.service import eventually

pytestmark = [
    pytest.mark.long,
    pytest.mark.alone,
    pytest.mark.timeout(200),
    pytest.mark.skipif(binaries() is None, reason="no PostgreSQL: see the test extra"),
]

RENDER: Millis = 1_000
"""How long the provider works at a job: less than UNCONFIRMED_DEADLINE, after which a job that a
killed replica was submitting gives its place back."""
RULES = SimulatorRules(render_seconds=RENDER / 1_000, drop_callbacks=0.05, submit_timeouts=0.05)
PLACES = 4
FLOOD = 48
"""How many jobs ada submits at once: they take 12 seconds at least."""
OVERTAKING = 2 * PLACES
"""How many jobs may begin while a single job waits: in one job's time as many as there are places,
and as many again while the machine is busy with its submission."""
LONGEST: Millis = 10_000
"""How long a single job may wait, on a busy machine and beside kills."""


async def test_no_job_too_many_and_single_jobs_do_not_wait_behind_a_flood(tmp_path: Path) -> None:
    rng = random.Random()
    limit = f"samsar={PLACES}"
    async with running_cluster(tmp_path, RULES, rng, JOBS_IN_FLIGHT=limit) as cluster:
        ada, now = cluster.world, SystemClock().now
        key = (await cluster.replicas[0].make_key("bob"))["key"]
        async with caller(ada.service, key) as client:
            bob = replace(ada, client=client, orders={}, acknowledged={})
            flooded = now()
            async with cluster.submitting(FLOOD):
                pass
            async with asyncio.TaskGroup() as group:
                singles = group.create_task(_submit_one_by_one(bob))
                kills = await _kill_in_turn(cluster, rng, singles)
            submitted = singles.result()
            unknown = await _check_outcomes(ada) + await _check_outcomes(bob)
        began = await _beginnings(ada.provider)
    bobs = [(at, began[prompt]) for prompt, at in submitted.items() if prompt in began]
    waits = [begin - at for at, begin in bobs]
    overtaken = [sum(at <= other < begin for other in began.values()) for at, begin in bobs]
    adas = [at - flooded for prompt, at in began.items() if prompt not in submitted]
    peak = _peak([*began.values()])
    print(f"\n{len(began)} jobs, at most {peak} at once, {kills} kills, {unknown} unknown")
    print(f"bob: {len(waits)} jobs waited {median(waits)} ms, at most {max(waits)} ms,", end=" ")
    print(f"for {max(overtaken)} others; ada's {median(adas)} ms, at most {max(adas)} ms")
    assert unknown <= kills * PLACES
    assert peak == PLACES
    assert max(overtaken) <= OVERTAKING
    assert max(waits) <= LONGEST
    assert len(bobs) > 1


async def _kill_in_turn(cluster: Cluster, rng: random.Random, until: asyncio.Task[Any]) -> int:
    """Kill and restart one replica after another; returns how often."""
    victims, kills = cycle(cluster.replicas), 0
    while not until.done():
        await asyncio.sleep(rng.uniform(2, 4))
        await inject_fault(cluster, rng, "replicas killed", victims)
        kills += 1
    return kills


async def _submit_one_by_one(user: World) -> Mapping[str, Millis]:
    """Submit jobs while any wait for a place, each once the last is done; returns when, by
    prompt."""
    submitted: dict[str, Millis] = {}
    while (await _read(user, "/v1/places"))["places"][0]["waiting"]:
        prompt = f"single job {len(submitted)}"
        order = Order(prompt, "/v1/jobs", {"kind": "create_movie", "input": movie(prompt)})
        user.orders[prompt] = order
        submitted[prompt] = SystemClock().now()
        request_id = await user.submit(order)
        read = partial(_read, user, f"/v1/jobs/{request_id}")
        await eventually(read, itemgetter("done"), timeout=FINISH_TIMEOUT)
    return submitted


async def _read(user: World, path: str) -> Any:
    """A document; a replica may be killed while it answers."""
    while True:
        with contextlib.suppress(httpx.TransportError):
            return await user.get(path)


async def _check_outcomes(user: World) -> int:
    """Each job ends, and was submitted once. Returns of how many the outcome is unknown, because a
    replica that was killed was submitting them."""
    jobs = await eventually(
        user.all_jobs, lambda jobs: all(job["done"] for job in jobs), timeout=FINISH_TIMEOUT
    )
    assert {job["request_id"] for job in jobs} == {*user.acknowledged.values()}
    submissions = await user.provider.submissions()
    failed = {job["request_id"] for job in jobs if job["status"] != "COMPLETED"}
    for key, order in user.orders.items():
        times = submissions[order.body["input"]["prompt"]]
        assert times == 1 or (times == 0 and user.acknowledged[key] in failed)
    return len(failed)


async def _beginnings(provider: Provider) -> dict[str, Millis]:
    """When each job began at the provider, by prompt; it runs for the time of RULES from then."""
    jobs = await provider.jobs()
    return {job["input"]["prompt"]: int(job["request_id"].split("-")[0], 16) for job in jobs}


def _peak(began: list[Millis]) -> int:
    """The most jobs that ran at once."""
    return max(sum(other <= at < other + RENDER for other in began) for at in began)
