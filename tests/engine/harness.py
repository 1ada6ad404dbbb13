"""What the workers' tests share: a store, a hub, a clock that the test moves, and a provider that
answers at once."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from receiver.domain.answers import Report, StatusAnswer, StatusReport, SubmitAnswer
from receiver.engine.context import ServiceContext
from receiver.engine.poller import Poller
from receiver.engine.status_calls import StatusCalls
from receiver.providers.contract import UpstreamJob
from receiver.providers.samsar import read_report
from receiver.streams.hub import Hub
from store.database import Store
from store.keys import User
from store.records.jobs import Job
from store.records.times import Lane, Millis
from tests.store.world import World, accepted, lease_due
from tests.support.manual_clock import ManualClock
from tests.support.samsar_double import SamsarDouble

T = TypeVar("T")

HOLDER = "me"
LEASE: Millis = 60_000
RUNNING = b'{"status":"IN_PROGRESS","progress":10}'
COMPLETED = b'{"status":"COMPLETED","result":{"videoUrl":"https://cdn.example/v.mp4"}}'
RATE = 50.0
STEP = 0.1
"""In seconds. The rate allows five calls in one step."""


class QuickProvider(SamsarDouble):
    """Answers each status call at once, and records the ids that it was asked about."""

    def __init__(self) -> None:
        self.answer: StatusAnswer = StatusReport(read_report({"status": "IN_PROGRESS"}))
        self.answers: dict[str, StatusAnswer] = {}
        """Answers for some jobs, instead of `answer`."""
        self.waits_for: asyncio.Event | None = None
        """If set, status calls are answered only after this event."""
        self.asked: list[str] = []

    async def submit(
        self, kind: str, body_input: Mapping[str, Any], callback_url: str
    ) -> SubmitAnswer:
        raise AssertionError("nothing is submitted here")

    async def status(self, job: UpstreamJob) -> StatusAnswer:
        self.asked.append(job.id)
        if self.waits_for is not None:
            await self.waits_for.wait()
        return self.answers.get(job.id, self.answer)

    def read(self, body: Mapping[str, Any]) -> Report:
        if body.get("poison") == "read":
            raise ZeroDivisionError("a body that our code cannot read")
        return replace(super().read(body), **body.get("says", {}))


@dataclass
class Harness:
    """What a worker under test needs."""

    services: ServiceContext
    hub: Hub
    clock: ManualClock
    provider: QuickProvider
    world: World

    @property
    def store(self) -> Store:
        return self.services.store

    def poller(self, rate: float = 1_000.0, concurrency: int = 1_000) -> Poller:
        """A poller with limits of its own: calls per second, and concurrent calls."""
        calls = StatusCalls(self.clock, self.services.metrics, rate, concurrency)
        services = replace(self.services, status_calls=calls)
        return Poller(services, self.hub)

    async def accepted_job(self, name: str, user: User | None = None, **fields: Any) -> Job:
        """A job that the provider knows under this name."""
        job = await self.world.create(user=user)
        return await self.world.advance(
            job, accepted(self.clock.now(), **{"provider_request_id": name, **fields})
        )

    async def lease(self, holder: str, lane: Lane) -> list[str]:
        """The ids of all jobs that `holder` can lease now."""
        now = self.clock.now()
        leased = await lease_due(self.store, lane, now, now + LEASE, holder, 1_000)
        return [job.id for job in leased]

    async def verdicts(self, job: Job) -> list[str]:
        history = await self.store.jobs.history_of(job.id)
        return [line.detail["verdict"] for line in history if line.type == "callback"]

    async def find(self, job: Job) -> Job:
        return await self.world.find(job)


class CallRecorder:
    """Records the calls of some of an object's methods."""

    def __init__(self, owner: object, *names: str) -> None:
        self.calls: list[str] = []
        for name in names:
            setattr(owner, name, self._record(name, getattr(owner, name)))

    def _record(self, name: str, method: Callable[..., T]) -> Callable[..., T]:
        def recording(*arguments: Any, **named: Any) -> T:
            self.calls.append(name)
            return method(*arguments, **named)

        return recording

    def take(self) -> list[str]:
        """The calls since the last `take`."""
        calls, self.calls = self.calls, []
        return calls


async def step(harness: Harness, worker: Poller) -> int:
    """Advance the clock, and wait until the calls that begin have ended; returns how many."""
    harness.clock.advance(STEP)
    begun = await worker.run_once()
    await worker._task_pool.drain()
    return begun
