"""What the engine's tests share: a real store, a hub, a clock that the test moves, and doubles of
the provider and of the users' webhook servers."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from structlog.testing import capture_logs

from receiver.domain.answers import (
    Report,
    StatusAnswer,
    StatusReport,
    SubmitAccepted,
    SubmitAnswer,
)
from receiver.domain.observations import CancelAnswer
from receiver.engine.context import ServiceContext
from receiver.engine.lanes import LaneWorker
from receiver.providers.samsar.upstream import read_report
from receiver.streams.hub import Hub
from receiver.upstream.contract import UpstreamJob
from receiver.webhooks.delivery import AttemptResult, WebhookSender
from store.database import Store
from store.keys import User
from store.records.jobs import Job
from store.records.times import Due, Lane, Millis
from tests.store.world import World, accepted
from tests.support.manual_clock import ManualClock
from tests.support.samsar_double import SamsarDouble

HOLDER = "me"
LEASE: Millis = 60_000
RUNNING = b'{"status":"IN_PROGRESS","progress":10}'
COMPLETED = b'{"status":"COMPLETED","result":{"videoUrl":"https://cdn.example/v.mp4"}}'
RATE = 50.0
STEP = 0.1
"""In seconds. The rate allows five calls in one step."""


class ScriptedUpstream(SamsarDouble):
    """Answers each call as the test wants, and records it."""

    can_cancel = True

    def __init__(self) -> None:
        self.submit_answer: Callable[[str], SubmitAnswer] = lambda _: SubmitAccepted(None)
        """By the callback address, which in these tests is the job's id."""
        self.submitted: list[str] = []
        self.called = asyncio.Event()
        """Set by the first call."""
        self.answer: StatusAnswer = StatusReport(read_report({"status": "IN_PROGRESS"}))
        self.answers: dict[str, StatusAnswer] = {}
        """Answers for some jobs, instead of `answer`."""
        self.waits_for: asyncio.Event | None = None
        """If set, calls are answered only after this event."""
        self.asked: list[str] = []
        self.cancelled: list[str] = []
        self.cancel_answer = CancelAnswer("accepted", 200)

    async def submit(
        self, kind: str, input_json: str, callback_url: str, reference: str
    ) -> SubmitAnswer:
        self.submitted.append(callback_url)
        await self._wait()
        return self.submit_answer(callback_url)

    async def status(self, job: UpstreamJob) -> StatusAnswer:
        self.asked.append(job.id)
        await self._wait()
        return self.answers.get(job.id, self.answer)

    async def cancel(self, job: UpstreamJob) -> CancelAnswer:
        self.cancelled.append(job.id)
        return self.cancel_answer

    async def _wait(self) -> None:
        self.called.set()
        if self.waits_for is not None:
            await self.waits_for.wait()

    def read(self, body: Mapping[str, Any]) -> Report:
        if body.get("poison") == "read":
            raise ZeroDivisionError("a body that our code cannot read")
        return replace(super().read(body), **body.get("says", {}))


class ScriptedSender(WebhookSender):
    """Answers each webhook as the test wants, and records it."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        """Addresses."""
        self.result = AttemptResult(204, None, 7, None, None, connect_failure=False)
        self.waits_for: asyncio.Event | None = None
        self._sending = asyncio.Event()

    async def sending(self, count: int) -> list[str]:
        """The addresses, once so many attempts have begun."""
        while len(self.sent) < count:
            self._sending.clear()
            await self._sending.wait()
        return self.sent

    async def deliver(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> AttemptResult:
        self.sent.append(url)
        self._sending.set()
        if self.waits_for is not None:
            await self.waits_for.wait()
        return self.result


@dataclass
class Harness:
    """What a lane under test needs."""

    services: ServiceContext
    hub: Hub
    clock: ManualClock
    provider: ScriptedUpstream
    world: World
    sender: ScriptedSender = field(default_factory=ScriptedSender)

    @property
    def store(self) -> Store:
        return self.services.store

    async def accepted_job(self, name: str, user: User | None = None, **fields: Any) -> Job:
        """A job that the provider knows under this name."""
        job = await self.world.create(user=user)
        return await self.world.advance(
            job, accepted(self.clock.now(), **{"provider_request_id": name, **fields})
        )

    async def due_poll(self, name: str, user: User | None = None, lane: Lane = Lane.POLL) -> Job:
        """A job whose status call is due."""
        return await self.accepted_job(name, user, due=Due(lane, self.clock.now()))

    async def verdicts(self, job: Job) -> list[str]:
        history = await self.store.jobs.history_of(job.id)
        return [line.detail["verdict"] for line in history if line.type == "callback"]

    async def find(self, job: Job) -> Job:
        return await self.world.find(job)


@contextmanager
def logged() -> Iterator[list[Any]]:
    """The lines that the block logs, those of level `info` too."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    with capture_logs() as lines:
        yield lines


async def begin(worker: LaneWorker[Any]) -> int:
    """Take all that may be taken now, without waiting for it to end; returns how much."""
    begun = 0
    while taken := await worker.run_once():
        begun += taken
    return begun


async def step(harness: Harness, worker: LaneWorker[Any], seconds: float = STEP) -> int:
    """Advance the clock, take what is due, and wait until it is done; returns how much it was."""
    harness.clock.advance(seconds)
    begun = await worker.run_once()
    await worker.finish()
    return begun
