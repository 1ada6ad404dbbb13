"""`TaskPool`: its limit, its names, and what it logs."""

import asyncio
import gc

import pytest
from structlog.testing import capture_logs

from receiver.engine.worker import TaskPool
from store.errors import StoreUnavailable


async def test_a_task_takes_a_place_and_has_a_name_until_it_ends() -> None:
    pool, may_end = TaskPool(2), asyncio.Event()

    async def work() -> None:
        await may_end.wait()

    pool.begin("first", work)
    assert pool.free == 1
    assert pool.is_running("first")
    assert not pool.is_running("second")

    waiting = asyncio.create_task(pool.wait_any())
    await asyncio.sleep(0)
    may_end.set()
    await waiting
    assert (pool.free, pool.is_running("first")) == (2, False)


async def test_a_drain_cancels_what_takes_too_long() -> None:
    pool, ended = TaskPool(2), []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    pool.begin("hang", hang)
    await pool.drain(0.01)
    assert (pool.free, ended) == (2, ["cancelled"])


async def test_a_task_that_is_cancelled_before_it_starts_leaves_nothing_behind() -> None:
    pool = TaskPool(1)

    async def work() -> None: ...

    pool.begin("never", work)
    (task,) = (each for each in asyncio.all_tasks() if each.get_name() == "never")
    task.cancel()
    await pool.drain()
    gc.collect()  # a coroutine that was never awaited would warn here, which fails the test
    assert pool.free == 1


@pytest.mark.parametrize(
    ("error", "level"),
    [(StoreUnavailable("the disk is full"), "warning"), (ZeroDivisionError("a mistake"), "error")],
)
async def test_only_a_fault_of_ours_is_logged_with_its_traceback(
    error: Exception, level: str
) -> None:
    pool = TaskPool(1)

    async def fail() -> None:
        raise error

    with capture_logs() as logs:
        pool.begin("poll job_1", fail)
        await pool.drain()
    (line,) = logs
    assert (line["log_level"], line["task"]) == (level, "poll job_1")
    assert ("exc_info" in line) == (level == "error")
