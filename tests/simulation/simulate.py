"""One schedule, run to its end: the whole service and its world on virtual time."""

import gc
import tempfile
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import structlog

from store.errors import StoreUnavailable
from store.sqlite.connection import prepare
from tests.simulation.judge import Judge
from tests.simulation.loop import VirtualLoop
from tests.simulation.oracle import check_end
from tests.simulation.schedule import Schedule
from tests.simulation.world import NEVER, World

LONGEST = 10 * 24 * 3600.0
"""Seconds of virtual time after which a service that has not come to rest never will."""
SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Result:
    """What came of a schedule."""

    plan: Schedule
    failure: BaseException | None
    journal: tuple[str, ...]
    digest: str
    seconds: float
    """Virtual ones."""
    steps: int


def simulate(plan: Schedule) -> Result:
    """Run a schedule. Nothing is raised: a broken promise is the result's `failure`."""
    loop = VirtualLoop()
    folder = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=folder) as name, _collected():
        database = Path(name, "receiver.db")
        database.write_bytes(_empty_database())
        failure: BaseException | None = None
        world = World(loop, plan, database)
        with _watched_logs(world.judge):
            try:
                loop.run(_live(world, plan))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what the seed found
                failure = error
            seconds, steps = loop.time(), loop.steps
            loop.bury()
        world.truth.close()
    return Result(plan, failure, tuple(world.judge.lines), world.judge.digest, seconds, steps)


async def _live(world: World, plan: Schedule) -> None:
    loop = world.loop
    await world.set_up()
    for machine in world.machines:
        machine.boot()
    loop.horizon = world.horizon
    for action in plan.actions:
        await loop.arrival_at(max(loop.time(), action.at))
        world.act(action)
    await world.sleep(60.0)
    for machine in world.machines:
        machine.spare()
    for follower in world.users.followers:
        follower.catch_up()
    await _rest(world)
    world.judge.note("end")
    check_end(world)


async def _rest(world: World) -> None:
    """Wait until nothing is due any more, anywhere."""
    loop = world.loop
    while True:
        soonest = world.horizon()
        resting = soonest == NEVER and not world.is_busy()
        if resting:
            await world.sleep(20.0)  # whoever was told last, followers too, gets to hear it
            if world.horizon() == NEVER and not world.is_busy():
                return
            continue
        if loop.time() > LONGEST:
            world.judge.fail("the service comes to rest", *world.what_is_due())
        busy = world.busy_until()
        nearest = min(soonest, busy) if busy > loop.time() else soonest
        await loop.arrival_at(max(loop.time() + 5.0, nearest if nearest < NEVER else 0.0))


@cache
def _empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "empty.db")
        prepare(path)
        return path.read_bytes()


@contextmanager
def _collected() -> Iterator[None]:
    """No garbage collection in between: it would close dead coroutines at moments of its own."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _watched_logs(judge: Judge) -> Iterator[None]:
    """Take the service's log for the time: an error in it is a fault, unless the disk was full."""
    before = structlog.get_config()

    def watch(_logger: Any, method: str, event: MutableMapping[str, Any]) -> NoReturn:
        error = event.get("exc_info")
        if method in ("error", "critical", "exception") and not _is_disk(error):
            judge.fail("nothing unexpected is logged", event["event"], repr(error), _place(error))
        raise structlog.DropEvent

    structlog.configure(processors=[watch], cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)


def _is_disk(error: Any) -> bool:
    return isinstance(error, StoreUnavailable)


def _place(error: Any) -> str:
    trace = getattr(error, "__traceback__", None)
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
