"""Fixtures for the engine's tests."""

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from receiver.domain.schedule import Rules
from receiver.engine.context import ServiceContext
from receiver.engine.status_calls import StatusCalls
from receiver.streams.hub import Hub
from receiver.telemetry.metrics import Metrics
from store.ids import Ids
from store.open import open_store
from tests.engine.harness import HOLDER, Harness, ScriptedUpstream
from tests.http_api.conftest import quiet_log
from tests.store.world import NOW, World
from tests.support.manual_clock import ManualClock

__all__ = ["harness", "quiet_log"]


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    store = await open_store(f"sqlite:///{tmp_path}/receiver.db", serving=True)
    world = await World.begin(store)
    clock, hub, provider = ManualClock(NOW), Hub(), ScriptedUpstream()
    store.on_commit = hub.announce
    metrics = Metrics("test")
    services = ServiceContext(
        store=store,
        holder=HOLDER,
        clock=clock,
        ids=Ids(Random(3).randbytes),
        rules=Rules(),
        providers={provider.name: provider},
        known_kinds={provider.name: provider.check_kind},
        status_calls=StatusCalls(clock, metrics, rate=1_000, concurrency=1_000),
        metrics=metrics,
    )
    yield Harness(services, hub, clock, provider, world)
    await store.close()
