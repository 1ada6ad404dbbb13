"""Failures of the machine that leads, one after another, under load."""

import asyncio
import contextlib
import random
import shutil
import tempfile
import time
from collections import Counter
from functools import partial
from itertools import cycle, islice
from operator import ge
from pathlib import Path

import psycopg

from receiver.simulator.faults import SimulatorRules
from tests.crash.judge import Tally, judge
from tests.crash.world import FINISH_TIMEOUT, World
from tests.failover.database import Database, running_database, session
from tests.failover.machines import Machine
from tests.replicas.cluster import BACKLOG, running_replicas
from tests.support.service import eventually

KINDS = ("killed", "cut off", "paused")
RULES = SimulatorRules(render_seconds=1.5)
JOBS_A_SECOND, CLIENTS = 50, 50
CONTINUE_SECONDS = 30.0
"""How long after a new leader is found the next outcome may take."""


async def failed_over(folder: Path, failovers: int, seed: int) -> tuple[Tally, Counter[str]]:
    """Break the leader this many times, in turn as KINDS says, under load; returns the totals and
    the number of faults by kind. Raises AssertionError if anything was lost or doubled; the logs
    are then kept."""
    try:
        return await _failed_over(folder, failovers, seed)
    except Exception:
        kept = tempfile.mkdtemp(prefix="failover-")
        databases = shutil.ignore_patterns("data", "etcd", ".s.*")
        shutil.copytree(folder, kept, ignore=databases, dirs_exist_ok=True)
        print(f"The logs are in {kept}", flush=True)
        raise


async def _failed_over(folder: Path, failovers: int, seed: int) -> tuple[Tally, Counter[str]]:
    rng = random.Random(seed)
    faults = Counter[str]()
    async with (
        running_database(folder) as database,
        running_replicas(folder, RULES, rng, database.url(), clocks=(0, 0)) as (world, _),
    ):
        async with world.under_load(CLIENTS, _Pace(world).next_turn):
            for kind in islice(cycle(KINDS), failovers):
                await database.healthy()
                rate = await _rate(world, rng.uniform(5, 10))
                print(f"{rate:.0f} jobs a second; ", end="")
                await _fail_over(world, database, kind)
                faults[f"leaders {kind}"] += 1
        tally = await judge(world, failovers)
    return tally, faults


class _Pace:
    """Holds clients back to a steady rate, and while too many jobs are open."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._turn = asyncio.Lock()

    async def next_turn(self) -> None:
        async with self._turn:
            await asyncio.sleep(1 / JOBS_A_SECOND)
            await eventually(self._open, partial(ge, BACKLOG), "room", timeout=FINISH_TIMEOUT)

    async def _open(self) -> int:
        return len(self._world.acknowledged) - self._world.reader.ended


async def _rate(world: World, seconds: float) -> float:
    """How many jobs were acknowledged in each of the next seconds."""
    before = len(world.acknowledged)
    await asyncio.sleep(seconds)
    return (len(world.acknowledged) - before) / seconds


async def _fail_over(world: World, database: Database, kind: str) -> None:
    """Break the leader, wait for outcomes under the next one, and repair the broken machine."""
    leader = await database.leader()
    async with await session(leader) as left_over:
        began = time.monotonic()
        _break(leader, kind)
        new = await database.new_leader(leader)
        led, ended = time.monotonic(), world.reader.ended

        async def outcomes() -> int:
            return world.reader.ended

        await eventually(outcomes, lambda n: n > ended, "an outcome", timeout=CONTINUE_SECONDS)
        print(
            f"{leader.name} {kind}; {new.name} led after {led - began:.1f} s, and outcomes came"
            f" after {time.monotonic() - began:.1f} s",
            flush=True,
        )
        _repair(leader, kind)
        await _refuses(left_over)


async def _refuses(left_over: psycopg.AsyncConnection) -> None:
    """Check that the leader of before acknowledges no commit on a session of before. One that wakes
    from a pause does if `synchronous_commit` is `local`, or if it gets the lead back and another
    standby follows it (docs/postgresql.md)."""
    with contextlib.suppress(psycopg.OperationalError):
        await left_over.execute("CREATE TABLE written_to_the_leader_of_before ()")
        raise AssertionError("two leaders acknowledge commits")


def _break(machine: Machine, kind: str) -> None:
    {"killed": machine.kill, "cut off": machine.cut_off, "paused": machine.pause}[kind]()


def _repair(machine: Machine, kind: str) -> None:
    {"killed": machine.boot, "cut off": machine.connect, "paused": machine.resume}[kind]()
