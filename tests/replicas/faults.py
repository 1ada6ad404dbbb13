"""Faults among replicas, one at a time, at random moments."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from receiver.simulator.faults import SimulatorRules
from tests.crash.judge import Tally, judge
from tests.replicas.cluster import Cluster, Replica, running_cluster
from tests.support.pooler import is_installed

T = TypeVar("T")

RULES = SimulatorRules(
    render_seconds=1.5,
    drop_callbacks=0.05,
    duplicate_callbacks=0.2,
    fail_jobs=0.1,
    submit_timeouts=0.005,
)
CLOCKS = (0, -120, 180)
"""Minutes apart: more than a lease lasts, and more than docs/operating.md allows."""

FAULTS = 10
"""The least number of faults: each kind occurs, however fast the machine is."""


async def broken_under_load(folder: Path, jobs: int, seed: int) -> tuple[Tally, Counter[str]]:
    """Run these jobs over replicas whose clocks differ, behind a pooler if one is installed.
    Returns the totals and the number of faults by kind. Raises AssertionError if anything was lost
    or doubled."""
    rng = random.Random(seed)
    faults = Counter[str]()
    kinds = ["replicas killed"] * 3 + ["replicas restarted", "fast", "immediate"]
    kinds += ["poolers killed"] if is_installed() else []
    async with running_cluster(folder, RULES, rng, pooled=is_installed(), clocks=CLOCKS) as cluster:
        kind = _shuffled(rng, kinds)
        # All in turn, so that every stream breaks.
        victims = _shuffled(rng, cluster.replicas)
        async with cluster.submitting(jobs) as submitting:
            while not submitting.done() or faults.total() < FAULTS:
                await asyncio.sleep(rng.uniform(0.5, 2))
                faults[await inject_fault(cluster, rng, next(kind), victims)] += 1
        tally = await judge(cluster.world, faults.total())
        callbacks = await cluster.world.provider.sent_callbacks()
    faults["callbacks lost"] = callbacks["dropped"]
    faults["callbacks twice"] = callbacks["duplicated"]
    return tally, faults


def _shuffled(rng: random.Random, things: Sequence[T]) -> Iterator[T]:
    """All of them again and again, each time in another order."""
    while True:
        yield from rng.sample(things, len(things))


async def inject_fault(
    cluster: Cluster, rng: random.Random, kind: str, victims: Iterator[Replica]
) -> str:
    """Break something, of the replicas the next victim, and repair it a moment later; returns the
    kind of fault."""
    seconds = rng.uniform(0.1, 1.5)
    match kind:
        case "replicas killed":
            replica = next(victims)
            await replica.kill()
            await asyncio.sleep(seconds)
            await replica.start()
        case "replicas restarted":
            replica = next(victims)
            status, _ = await replica.terminate()
            assert status == 0, f"exit status {status}: {replica.log.read_text()[-2000:]}"
            await replica.start()
        case "poolers killed":
            assert cluster.pooler is not None
            await asyncio.to_thread(cluster.pooler.kill)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(cluster.pooler.start)
        case how:
            kind = f"databases stopped ({how})"
            await asyncio.to_thread(cluster.server.stop, how)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(cluster.server.start)
    return kind
