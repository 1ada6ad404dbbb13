"""Runs one schedule to its end: the whole service and its world on virtual time."""

import gc
import os
import tempfile
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn
from unittest.mock import patch

import anyio.to_thread
import structlog

from receiver.archive import download, folder
from receiver.domain import archive as domain
from store.errors import StoreUnavailable
from store.sqlite.connection import prepare
from tests.simulation.file_fate import LINK_LIFE
from tests.simulation.judge import Judge
from tests.simulation.loop import NEVER, VirtualLoop
from tests.simulation.oracle import check_end
from tests.simulation.schedule import Schedule
from tests.simulation.world import World

MAX_STEPS = 1_000_000
"""Steps of the loop after which a service counts as never coming to rest. Long seeds take a hundred
thousand."""
MAX_OVERDUE_SECONDS = 3_600.0
"""How long something may stay due at the end of a run, when only endpoints and hosts still fail."""
IDLE_CHECK_SECONDS = 5.0
"""Seconds between two checks of whether the service is at rest."""
SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Result:
    """The result of a schedule."""

    schedule: Schedule
    failure: BaseException | None
    journal: tuple[str, ...]
    seconds: float
    """Virtual seconds."""


def simulate(schedule: Schedule) -> Result:
    """Run a schedule. Does not raise: a broken promise is the result's `failure`."""
    loop = VirtualLoop()
    failure: BaseException | None = None
    with _world_of(loop, schedule) as world:
        try:
            loop.run(_run(world))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the seed found
            failure = error
        seconds = loop.time()
    return Result(schedule, failure, tuple(world.judge.lines), seconds)


@contextmanager
def _world_of(loop: VirtualLoop, schedule: Schedule) -> Iterator[World]:
    folder = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=folder) as name, _without_gc():
        database = Path(name, "receiver.db")
        database.write_bytes(_empty_database())
        world = World(loop, schedule, database)
        with _watched_logs(loop, world.judge), _virtual_files(loop, world):
            yield world
            loop.end_all()
        world.close()


async def _run(world: World) -> None:
    await world.set_up()
    world.loop.horizon = world.horizon
    await world.play()
    await world.sleep(60.0)
    world.file_disk.at_sync = None
    for machine in world.machines:
        machine.cancel_crash()
    for follower in world.users.followers:
        follower.catch_up()
    await _wait_until_idle(world)
    world.judge.note("end")
    check_end(world)
    world.files.check_end()
    await world.files.retire()


async def _wait_until_idle(world: World) -> None:
    """Wait until nothing is due any more, anywhere."""
    loop = world.loop
    while True:
        soonest = world.horizon()
        if soonest == NEVER and not world.is_busy():
            await world.sleep(20.0)  # for the last events to reach followers
            if world.horizon() == NEVER and not world.is_busy():
                return
            continue
        overdue = loop.time() - world.next_due()
        if overdue > MAX_OVERDUE_SECONDS or loop.steps > MAX_STEPS:
            world.judge.fail("the service comes to rest", *world.what_is_due())
        now, busy = loop.time(), world.busy_until()
        nearest = min(soonest, busy) if busy > now else soonest
        if now + IDLE_CHECK_SECONDS < nearest < NEVER:
            await loop.arrival_at(nearest)
        else:
            await loop.tick(IDLE_CHECK_SECONDS)


@cache
def _empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "empty.db")
        prepare(path)
        return path.read_bytes()


@contextmanager
def _without_gc() -> Iterator[None]:
    """Turn garbage collection off: it would close dead coroutines at moments of its own."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _virtual_files(loop: VirtualLoop, world: World) -> Iterator[None]:
    """Replace what the archive uses of the system (time, fsync, threads) with the simulation's, and
    shrink two of its limits."""

    async def run_sync(func: Callable[..., Any], *args: Any, **_: Any) -> Any:
        return await loop.run_in_executor(None, func, *args)

    with (
        patch.object(download, "PIECE", 1_000),
        patch.object(domain, "LINK_LIFE", round(LINK_LIFE * 1_000)),
        patch.object(folder, "time", SimpleNamespace(time=lambda: world.clock.seconds)),
        patch.object(os, "fsync", world.file_disk.fsync),
        patch.object(anyio.to_thread, "run_sync", run_sync),
    ):
        yield


@contextmanager
def _watched_logs(loop: VirtualLoop, judge: Judge) -> Iterator[None]:
    """Read the service's log: an error in it is a fault, except that of an unavailable store, and
    whatever dead processes say when their coroutines are closed."""
    before = structlog.get_config()

    def watch(_logger: Any, method: str, event: MutableMapping[str, Any]) -> NoReturn:
        error = event.get("exc_info")
        is_fault = method in ("error", "critical", "exception") and loop.is_running()
        if is_fault and not isinstance(error, StoreUnavailable):
            judge.fail("nothing unexpected is logged", event["event"], repr(error), _place(error))
        raise structlog.DropEvent

    structlog.configure(processors=[watch], cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)


def _place(error: Any) -> str:
    frames = traceback.extract_tb(getattr(error, "__traceback__", None))
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
