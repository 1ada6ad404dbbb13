"""What a worker works with: a store, a hub, a clock that stands still, and a provider that answers
at once."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from receiver.actions.context import ServiceContext
from receiver.actions.status_calls import StatusCalls
from receiver.domain.observations import (
    LookUpAnswer,
    Report,
    StatusAnswer,
    StatusMissing,
    StatusReport,
    SubmitAnswer,
)
from receiver.domain.schedule import Rules
from receiver.metrics import Metrics
from receiver.providers.contract import UpstreamJob
from receiver.providers.samsar_report import read_report
from receiver.streams.hub import Hub
from store.database import Store
from store.ids import Ids
from store.open import open_store
from store.records import Job, Lane, Millis
from tests.store.world import NOW, World, accepted
from tests.support.samsar_double import SamsarDouble

T = TypeVar("T")

HOLDER = "me"
LEASE: Millis = 60_000


class StandingClock:
    """Goes on only when a test says so."""

    def __init__(self) -> None:
        self.passed = 0.0
        """Seconds since the start."""

    def now(self) -> Millis:
        return NOW + round(self.passed * 1_000)

    def monotonic(self) -> float:
        return 1_000.0 + self.passed

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("no test waits for a clock that stands still")


class QuickProvider(SamsarDouble):
    """Answers each status call at once, and remembers whom it was asked about."""

    def __init__(self) -> None:
        self.answer: StatusAnswer = StatusReport(read_report({"status": "IN_PROGRESS"}))
        self.asked: list[str] = []
        self.found: LookUpAnswer = StatusMissing("not listed")
        self.looked_up: list[tuple[str, Millis, Millis]] = []

    async def submit(
        self, kind: str, body_input: Mapping[str, Any], callback_url: str
    ) -> SubmitAnswer:
        raise AssertionError("nothing is submitted here")

    async def status(self, job: UpstreamJob) -> StatusAnswer:
        self.asked.append(job.id)
        return self.answer

    async def look_up(self, callback_url: str, since: Millis, until: Millis) -> LookUpAnswer:
        self.looked_up.append((callback_url, since, until))
        return self.found

    def read(self, body: Mapping[str, Any]) -> Report:
        if "poison" in body:
            raise ZeroDivisionError("a body that our code cannot digest")
        return super().read(body)


@dataclass
class Surroundings:
    """All of it."""

    services: ServiceContext
    hub: Hub
    clock: StandingClock
    provider: QuickProvider
    world: World

    @property
    def store(self) -> Store:
        return self.services.store

    async def taken(self, name: str, **fields: Any) -> Job:
        """A job that the provider knows by this name."""
        job = await self.world.create()
        return await self.world.advance(
            job, accepted(self.clock.now(), **{"provider_request_id": name, **fields})
        )

    async def lease(self, holder: str, lane: Lane) -> list[str]:
        """The jobs that somebody gets who asks now."""
        now = self.clock.now()
        leased = await self.store.jobs.lease_due(lane, now, now + LEASE, holder, 1_000)
        return [job.id for job in leased]

    async def verdicts(self, job: Job) -> list[str]:
        history = await self.store.jobs.history_of(job.id)
        return [line.detail["verdict"] for line in history if line.type == "callback"]

    async def found(self, job: Job) -> Job:
        found = await self.store.jobs.find(job.id)
        assert found is not None
        return found


@asynccontextmanager
async def surroundings(folder: Path) -> AsyncIterator[Surroundings]:
    store = await open_store(f"sqlite:///{folder}/receiver.db", serving=True)
    world = await World.begin(store)
    clock, hub, provider = StandingClock(), Hub(), QuickProvider()
    store.on_change = hub.announce
    metrics = Metrics("test")
    services = ServiceContext(
        store=store,
        clock=clock,
        ids=Ids(Random(3).randbytes),
        rules=Rules(),
        providers={provider.name: provider},
        status_calls=StatusCalls(clock, metrics, rate=1_000, at_once=1_000),
        metrics=metrics,
    )
    try:
        yield Surroundings(services, hub, clock, provider, world)
    finally:
        await store.close()


class Counted:
    """Calls of some of an object's methods, which go on as they did."""

    def __init__(self, owner: object, *names: str) -> None:
        self.calls: list[str] = []
        for name in names:
            setattr(owner, name, self._counting(name, getattr(owner, name)))

    def _counting(self, name: str, method: Callable[..., T]) -> Callable[..., T]:
        def counted(*arguments: Any, **named: Any) -> T:
            self.calls.append(name)
            return method(*arguments, **named)

        return counted

    def taken(self) -> list[str]:
        """Those since it was last asked."""
        calls, self.calls = self.calls, []
        return calls
