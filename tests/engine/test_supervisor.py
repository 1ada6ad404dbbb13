"""`Supervisor`: how soon a worker that failed runs again."""

import asyncio
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from receiver.engine.supervisor import Supervisor
from receiver.telemetry.metrics import Metrics
from store.errors import StoreUnavailable
from tests.support.manual_clock import ManualClock


@pytest.mark.parametrize(
    "error", [StoreUnavailable("the server is away"), ZeroDivisionError("a mistake")]
)
async def test_a_worker_that_failed_is_soon_back(error: Exception) -> None:
    clock = ManualClock()
    starts: list[float] = []
    ran = asyncio.Event()

    async def loop() -> None:
        starts.append(clock.monotonic())
        if len(starts) <= 8:
            raise error
        ran.set()
        await asyncio.Event().wait()

    supervisor = Supervisor([], clock, Metrics("test"))
    with capture_logs():  # otherwise each failure prints a coloured traceback
        supervisor.keep_running("worker", loop)
        await ran.wait()
        await supervisor.stop()
    assert [later - at for at, later in pairwise(starts)] == [1.0] * 8
