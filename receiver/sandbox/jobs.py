"""The jobs of the sandbox. Unless a job is cancelled, its progress depends only on the time."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from receiver.clock import Clock
from receiver.sandbox.faults import FaultPlan, JobPlan, PlannedCallback
from receiver.sandbox.journal import JobRecord, Journal
from store.records.jobs import FINAL_STATUSES, Status

_PENDING_SHARE: Final = 0.1
_CALLBACK_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class JobState:
    status: Status
    progress: int | None = None
    """Percent, of a job that is `IN_PROGRESS` or `COMPLETED`."""
    link: str | None = None
    """The result link of a job that is `COMPLETED`."""
    failure: str | None = None
    """The message of a job that has `FAILED`."""

    @property
    def is_final(self) -> bool:
        return self.status in FINAL_STATUSES


@dataclass(frozen=True, slots=True)
class Callback:
    """A webhook as a provider sends it."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(slots=True)
class SandboxJob:
    """One job, created by one submission."""

    record: JobRecord
    plan: JobPlan
    created_at: float
    """Monotonic seconds."""
    status_calls: int = 0
    is_cancelled: bool = False

    @property
    def request_id(self) -> str:
        """The provider's own id of the job."""
        return self.plan.request_id


@dataclass(slots=True)
class Jobs:
    """Every job, and the tasks that send their callbacks."""

    faults: FaultPlan
    origin: str
    """Of the sandbox, for links."""
    clock: Clock
    http: httpx.AsyncClient
    journal: Journal
    make_callback: Callable[[SandboxJob, JobState], Callback | None] = field(init=False)
    """The webhook for a state of a job; None if the provider sends none."""
    counts: Counter[str] = field(init=False, default_factory=Counter)
    """See `stats`."""
    by_id: dict[str, SandboxJob] = field(init=False, default_factory=dict)
    """By request id, oldest first."""
    _next_ordinal: int = field(init=False, default=0)
    _sending: set[asyncio.Task[None]] = field(init=False, default_factory=set)

    def make(self, kind: str, job_input: Mapping[str, Any], webhook_url: str | None) -> SandboxJob:
        """Create a job, and start the task that sends its callbacks."""
        record = JobRecord(self._next_ordinal, kind, job_input, webhook_url, self.clock.now())
        self.journal.add(record)
        return self._begin(record)

    def resume(self) -> None:
        """Continue the jobs of an earlier process, even cancelled ones. Callbacks that were due
        while no process was running are lost."""
        now = self.clock.now()
        for record in self.journal.jobs:
            self._begin(record, age=(now - record.created_at) / 1_000)

    def _begin(self, record: JobRecord, *, age: float = 0.0) -> SandboxJob:
        now = self.clock.monotonic()
        job = SandboxJob(record, self.faults.of_job(record.ordinal), created_at=now - age)
        self._next_ordinal = record.ordinal + 1
        self.by_id[job.request_id] = job
        if record.webhook_url is not None:
            sending = self._send_callbacks(job, record.webhook_url, now)
            task = asyncio.create_task(sending)
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        return job

    def cancel(self, job: SandboxJob) -> None:
        """End a job, unless it has ended."""
        if not self._is_over(job):
            job.is_cancelled = True

    def state(self, job: SandboxJob) -> JobState:
        if job.is_cancelled or self._is_over(job):
            return self._outcome(job)
        share = (self.clock.monotonic() - job.created_at) / self.faults.rules.render_seconds
        if share < _PENDING_SHARE:
            return JobState(Status.PENDING)
        return JobState(Status.IN_PROGRESS, min(99, int(share * 100)))

    def listing(self) -> list[dict[str, Any]]:
        """All jobs, oldest first."""
        return [
            {
                "request_id": job.request_id,
                "kind": job.record.kind,
                "status": self.state(job).status,
                "input": job.record.input,
            }
            for job in self.by_id.values()
        ]

    def stats(self) -> dict[str, int]:
        """The next job's ordinal, as the number of jobs, and counts since the start of this
        process: authenticated submissions, status calls for known jobs, and callbacks sent (copies
        included), dropped and duplicated."""
        names = ("submissions", "status_calls")
        callbacks = ("callbacks_sent", "callbacks_dropped", "callbacks_duplicated")
        counts = {name: self.counts[name] for name in (*names, *callbacks)}
        return {"jobs": self._next_ordinal, **counts}

    async def close(self) -> None:
        """Cancel the tasks and close the connections."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        await self.http.aclose()

    async def _send_callbacks(self, job: SandboxJob, webhook_url: str, sending_from: float) -> None:
        for planned in job.plan.callbacks:
            due_at = job.created_at + planned.after
            if due_at < sending_from:
                continue  # due before this process started
            # A sleep may end slightly early, and a status call must not contradict the callback.
            while (left := due_at - self.clock.monotonic()) > 0:
                await self.clock.sleep(left)
            cancelled = job.is_cancelled
            await self._send(job, planned, webhook_url)
            if cancelled:
                return

    async def _send(self, job: SandboxJob, planned: PlannedCallback, webhook_url: str) -> None:
        ended = planned.progress is None or job.is_cancelled
        state = self._outcome(job) if ended else JobState(Status.IN_PROGRESS, planned.progress)
        callback = self.make_callback(job, state)
        if callback is None:
            return
        if planned.copies == 0:
            self.counts["callbacks_dropped"] += 1
            return
        self.counts["callbacks_duplicated"] += planned.copies - 1
        headers = {"Content-Type": "application/json", **callback.headers}
        for _ in range(planned.copies):
            self.counts["callbacks_sent"] += 1
            try:
                await self.http.post(
                    webhook_url, content=callback.body, headers=headers, timeout=_CALLBACK_TIMEOUT
                )
            except (httpx.HTTPError, httpx.InvalidURL):
                # A sandbox never retries: a receiver that cannot be reached misses it.
                continue

    def _is_over(self, job: SandboxJob) -> bool:
        # The same sum as a callback's due time; a quotient could round to just under 1.
        return self.clock.monotonic() >= job.created_at + self.faults.rules.render_seconds

    def _outcome(self, job: SandboxJob) -> JobState:
        if job.is_cancelled:
            return JobState(Status.CANCELLED)
        if job.plan.failure is not None:
            return JobState(Status.FAILED, failure=job.plan.failure)
        return JobState(Status.COMPLETED, 100, f"{self.origin}/results/{job.request_id}.webm")
