"""Storage that fails under a running service: it answers 503, acknowledges nothing that is not
stored, and afterwards continues in the same process."""

import asyncio
import contextlib
import os
import resource
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from receiver.simulator.faults import SimulatorRules
from tests.crash.judge import judge
from tests.crash.processes import Service
from tests.crash.world import Order, World, running_world
from tests.support.service import eventually

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]

RULES = SimulatorRules(render_seconds=1.5)


async def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    # The limit also applies to the service's log file, so little may be logged.
    async with running_world(tmp_path, RULES, LOG_LEVEL="critical") as world:
        await lives_through(world, no_growth(world.service), "full")


async def test_a_database_that_another_process_holds(tmp_path: Path) -> None:
    # The log's reader is gone: only the log lines are lost.
    os.mkfifo(tmp_path / "service.log")
    reader = os.open(tmp_path / "service.log", os.O_RDONLY | os.O_NONBLOCK)
    async with running_world(tmp_path, RULES) as world:
        os.close(reader)
        began = time.monotonic()
        await lives_through(world, held(world.service.database), "locked")
        assert time.monotonic() - began > 5, "a write that gets the lock in time succeeds"


@contextlib.contextmanager
def no_growth(service: Service) -> Iterator[None]:
    log = service.database.with_name(f"{service.database.name}-wal")
    soft, hard = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (log.stat().st_size, hard))
    yield
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def held(database: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


async def lives_through(world: World, outage: AbstractContextManager[None], word: str) -> None:
    """Jobs from before, during and after an outage all end correctly, without a restart. During it,
    `/readyz` says `word`."""
    process = world.service.pid
    await asyncio.gather(*(world.submit() for _ in range(5)))

    with outage:
        refused, answer = await refusal(world)
        assert answer.json()["code"] == "storage_unavailable"
        assert float(answer.headers["Retry-After"]) > 0
        during = [asyncio.create_task(world.submit()) for _ in range(5)]
        # A check before the outage is good for a second, and a new one may take five.
        probe = await eventually(
            lambda: world.client.get("/readyz"),
            lambda answer: answer.status_code == 503 and answer.json()["code"] != "unavailable",
        )
        assert probe.json()["code"] == word
        assert (await world.client.get("/livez")).status_code == 200
        assert len(await world.all_jobs()) == len(world.acknowledged), "reads still work"
        assert not any(task.done() for task in during)

    await eventually(
        lambda: world.client.get("/readyz"), lambda answer: answer.status_code == 200, timeout=10
    )
    await asyncio.gather(*during, world.submit(refused), world.submit())
    await judge(world)
    assert world.service.pid == process


async def refusal(world: World) -> tuple[Order, httpx.Response]:
    """The first order that is refused; those before it are acknowledged, and count."""
    while True:
        order = world.order()
        answer = await world.post(order)
        if answer.status_code == 503:
            return order, answer
        await world.submit(order)
