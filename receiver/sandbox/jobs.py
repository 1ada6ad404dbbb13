"""The jobs of a sandbox. Unless a job is cancelled, its progress depends only on the time."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from receiver.clock import Clock
from receiver.dialects.contract import JobView, Submission
from receiver.sandbox.faults import UPDATES, JobPlan, SandboxRules, plan_job
from store.records.jobs import Status
from store.records.times import Millis

_PENDING_SHARE: Final = 0.1
_CALLBACK_TIMEOUT: Final = 10.0
_KEPT_FOR: Final[Millis] = 7 * 24 * 3600 * 1000
"""How long the jobs of an earlier process are known."""
_HALF_ID: Final = 12
"""Hexadecimal digits of the time in an id, and of the nonce that follows it."""


@dataclass(frozen=True, slots=True)
class Callback:
    """A webhook as a provider sends it."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(slots=True)
class SandboxJob:
    """One job, created by one submission."""

    id: str
    submission: Submission
    created_at: Millis
    began: float
    """Monotonic seconds: its progress does not follow a clock that is set."""
    plan: JobPlan
    is_cancelled: bool = False

    def view(self, status: Status, **members: Any) -> JobView:
        given = self.submission
        return JobView(self.id, given.kind, given.input, self.created_at, status, **members)


@dataclass(slots=True)
class Jobs:
    """Every job, and the tasks that send their callbacks."""

    rules: SandboxRules
    origin: str
    """Of the sandbox, for links."""
    clock: Clock
    http: httpx.AsyncClient
    """Carries the callbacks."""
    make_output: Callable[[Mapping[str, Any], str], Any]
    """The result, in the provider's form, from the input and the link."""
    make_callback: Callable[[JobView, Millis], Callback | None]
    """The webhook for a state of a job, now; None if the provider sends none."""
    callbacks: Counter[str] = field(init=False, default_factory=Counter)
    """How many were `sent` (copies included), `dropped` and `duplicated`."""
    _nonces: random.Random = field(init=False)
    _by_id: dict[str, SandboxJob] = field(init=False, default_factory=dict)
    _sending: set[asyncio.Task[None]] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self._nonces = random.Random(self.rules.seed)

    def make(self, submission: Submission) -> SandboxJob:
        """Create a job, and start the task that sends its callbacks."""
        now, nonce = self.clock.now(), self._nonces.randbytes(_HALF_ID // 2).hex()
        job_id, plan = f"{now:0{_HALF_ID}x}{nonce}", plan_job(self.rules, nonce)
        job = SandboxJob(job_id, submission, now, self.clock.monotonic(), plan)
        self._by_id[job.id] = job
        if submission.webhook_url is not None:
            task = asyncio.create_task(self._send_callbacks(job, submission.webhook_url))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        return job

    def find(self, job_id: str) -> SandboxJob | None:
        """A job by its id. Of a job of an earlier process, all that is known is in its id: it goes
        on to its end, without callbacks."""
        if job_id in self._by_id:
            return self._by_id[job_id]
        try:
            created_at = int(job_id[:_HALF_ID], 16)
        except ValueError:
            return None
        age = self.clock.now() - created_at
        if not 0 <= age < _KEPT_FOR:
            return None
        began = self.clock.monotonic() - age / 1_000
        plan = plan_job(self.rules, job_id[_HALF_ID:])
        return SandboxJob(job_id, Submission("unknown", {}, None), created_at, began, plan)

    def all(self) -> list[JobView]:
        """All jobs of this process, oldest first."""
        return list(map(self.view, self._by_id.values()))

    def cancel(self, job: SandboxJob) -> None:
        """End a job, unless it has ended."""
        job.is_cancelled = job.is_cancelled or not self._is_over(job)

    def view(self, job: SandboxJob) -> JobView:
        """The job as it is now."""
        if job.is_cancelled or self._is_over(job):
            return self._outcome(job)
        share = (self.clock.monotonic() - job.began) / self.rules.render_seconds
        if share < _PENDING_SHARE:
            return job.view(Status.PENDING)
        return job.view(Status.IN_PROGRESS, progress=min(99, int(share * 100)))

    async def close(self) -> None:
        """Cancel the tasks."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _send_callbacks(self, job: SandboxJob, webhook_url: str) -> None:
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
        callback = self.make_callback(view, self.clock.now())
        if callback is None:
            return
        self.callbacks["dropped" if copies == 0 else "sent"] += max(copies, 1)
        self.callbacks["duplicated"] += max(copies - 1, 0)
        headers = {"Content-Type": "application/json", **callback.headers}
        for _ in range(copies):
            try:
                await self.http.post(
                    webhook_url, content=callback.body, headers=headers, timeout=_CALLBACK_TIMEOUT
                )
            except (httpx.HTTPError, httpx.InvalidURL):
                # A sandbox never retries: a receiver that cannot be reached misses it.
                continue

    def _due(self, job: SandboxJob, progress: int) -> float:
        return job.began + self.rules.render_seconds * (progress / 100)

    def _is_over(self, job: SandboxJob) -> bool:
        return self.clock.monotonic() >= self._due(job, 100)

    def _outcome(self, job: SandboxJob) -> JobView:
        if job.is_cancelled:
            return job.view(Status.CANCELLED)
        if job.plan.failure is not None:
            return job.view(Status.FAILED, error=job.plan.failure)
        link = f"{self.origin}/results/{job.id}.webm"
        output = self.make_output(job.submission.input, link)
        return job.view(Status.COMPLETED, progress=100, output=output)
