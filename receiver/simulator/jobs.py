"""The jobs of a simulator. Unless a job is cancelled, its progress depends only on the time."""

import asyncio
import json
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import nlargest
from typing import Any

import httpx

from receiver.clock import Clock
from receiver.domain.schedule import DAY
from receiver.simulator.faults import UPDATES, JobPlan, SimulatorRules, plan_job
from receiver.upstream.shapes import JobView, Submission
from store.records.jobs import Status
from store.records.times import Millis


class Shape(ABC):
    """What a provider's API makes of a job."""

    @abstractmethod
    def output(self, job_input: Mapping[str, Any], link: str) -> Any:
        """The result of a job, in the provider's form."""

    @abstractmethod
    def webhook(self, job: JobView) -> bytes | None:
        """The webhook about a state of a job; None if the provider sends none."""

    def sign(self, job: JobView, body: bytes, now: Millis) -> Mapping[str, str]:
        """The headers that sign a webhook with this body."""
        return {}


@dataclass(slots=True)
class SimulatedJob:
    """One job, created by one submission."""

    id: str
    submission: Submission
    created_at: Millis
    began: float
    """Monotonic seconds, in the future while it waits for a place: its progress does not follow a
    clock that is set."""
    plan: JobPlan
    is_cancelled: bool = False

    def view(self, status: Status, **members: Any) -> JobView:
        given = self.submission
        job_input = json.dumps(given.input)
        return JobView(self.id, given.kind, self.created_at, status, job_input, **members)


@dataclass(slots=True)
class Jobs:
    """Every job, and the tasks that send their callbacks."""

    rules: SimulatorRules
    origin: str
    """Of the simulator, for links."""
    clock: Clock
    http: httpx.AsyncClient
    """Carries the callbacks."""
    shape: Shape
    callbacks: Counter[str] = field(init=False, default_factory=Counter)
    """How many were `sent` (copies included), `dropped` and `duplicated`."""
    _nonces: random.Random = field(init=False)
    _by_id: dict[str, SimulatedJob] = field(init=False, default_factory=dict)
    _sending: set[asyncio.Task[None]] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self._nonces = random.Random(self.rules.seed)

    def make(self, submission: Submission) -> SimulatedJob:
        """Create a job, and start the task that sends its callbacks."""
        now, nonce = self.clock.now(), self._nonces.randbytes(6).hex()
        plan = plan_job(self.rules, nonce)
        job = SimulatedJob(f"{now:x}-{nonce}", submission, now, self._next_place(), plan)
        self._by_id[job.id] = job
        if submission.webhook_url is not None:
            task = asyncio.create_task(self._send_callbacks(job, submission.webhook_url))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        return job

    def find(self, job_id: str) -> SimulatedJob | None:
        """A job by its id. Of a job of an earlier process, all that is known is in its id: it goes
        on to its end, without callbacks, and is known for a day."""
        if job_id in self._by_id:
            return self._by_id[job_id]
        time, _, nonce = job_id.partition("-")
        try:
            created_at = int(time, 16)
        except ValueError:
            return None
        age = self.clock.now() - created_at
        if not 0 <= age < DAY:
            return None
        began, plan = self.clock.monotonic() - age / 1_000, plan_job(self.rules, nonce)
        return SimulatedJob(job_id, Submission("unknown", {}, None), created_at, began, plan)

    def all(self) -> list[JobView]:
        """All jobs of this process, oldest first."""
        return list(map(self.view, self._by_id.values()))

    def cancel(self, job: SimulatedJob) -> None:
        """End a job, unless it has ended."""
        job.is_cancelled = job.is_cancelled or not self._is_over(job)

    def view(self, job: SimulatedJob) -> JobView:
        """The job as it is now."""
        if job.is_cancelled or self._is_over(job):
            return self._outcome(job)
        share = (self.clock.monotonic() - job.began) / self.rules.render_seconds
        progress = min(99, int(share * 100))
        if progress < UPDATES[0]:
            return job.view(Status.PENDING)
        return job.view(Status.IN_PROGRESS, progress=progress)

    async def close(self) -> None:
        """Cancel the tasks."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _send_callbacks(self, job: SimulatedJob, webhook_url: str) -> None:
        for progress, copies in zip((*UPDATES, 100), job.plan.copies, strict=True):
            # A sleep may end slightly early, and a status call must not contradict the callback.
            while (left := self._due(job, progress) - self.clock.monotonic()) > 0:
                await self.clock.sleep(left)
            if progress == 100 or job.is_cancelled:
                await self._send(self._outcome(job), copies, webhook_url)
                return
            view = job.view(Status.IN_PROGRESS, progress=progress)
            await self._send(view, copies, webhook_url)

    async def _send(self, view: JobView, copies: int, webhook_url: str) -> None:
        message = self.shape.webhook(view)
        if message is None:
            return
        self.callbacks["dropped" if copies == 0 else "sent"] += max(copies, 1)
        self.callbacks["duplicated"] += max(copies - 1, 0)
        signature = self.shape.sign(view, message, self.clock.now())
        headers = {"Content-Type": "application/json", **signature}
        for _ in range(copies):
            # A simulator never retries: a receiver that cannot be reached misses it.
            with suppress(httpx.HTTPError, httpx.InvalidURL):
                await self.http.post(webhook_url, content=message, headers=headers)

    def _next_place(self) -> float:
        """When a new job begins. A cancelled job keeps its place until it would have ended."""
        now, places = self.clock.monotonic(), self.rules.places
        if places is None:
            return now
        ends = (self._due(job, 100) for job in self._by_id.values())
        latest = nlargest(places, (end for end in ends if end > now))
        return now if len(latest) < places else latest[-1]

    def _due(self, job: SimulatedJob, progress: int) -> float:
        return job.began + self.rules.render_seconds * (progress / 100)

    def _is_over(self, job: SimulatedJob) -> bool:
        return self.clock.monotonic() >= self._due(job, 100)

    def _outcome(self, job: SimulatedJob) -> JobView:
        if job.is_cancelled:
            return job.view(Status.CANCELLED)
        if job.plan.fails:
            return job.view(Status.FAILED, error="The video model gave up on this prompt.")
        link = f"{self.origin}/results/{job.id}.webm"
        output = json.dumps(self.shape.output(job.submission.input, link))
        return job.view(Status.COMPLETED, progress=100, output=output)
