"""The jobs of the sandbox: made by submissions, rendered by the passing of time alone."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from receiver.clock import Clock
from receiver.sandbox.fates import Fate, Fates, PlannedCallback
from receiver.sandbox.memory import MadeJob, Memory
from receiver.sandbox.results import ResultLinks

_PENDING_SHARE: Final = 0.1
_CALLBACK_TIMEOUT: Final = 10.0


@dataclass(slots=True)
class SandboxJob:
    """One job, made by one submission."""

    ordinal: int
    kind: str
    input: Mapping[str, Any]
    webhook_url: str | None
    fate: Fate
    made_at: float
    """Monotonic seconds."""
    status_calls: int = 0
    callbacks_sent: int = 0
    callbacks_dropped: int = 0

    @property
    def request_id(self) -> str:
        """The provider's own id of the job."""
        return self.fate.request_id


@dataclass(slots=True)
class Stats:
    """Counts since the start."""

    submissions: int = 0
    """Calls of the two POST routes with a good key, whatever became of them."""
    jobs: int = 0
    status_calls: int = 0
    callbacks_sent: int = 0
    """POSTs attempted, copies included."""
    callbacks_dropped: int = 0
    callbacks_duplicated: int = 0


@dataclass(slots=True)
class Jobs:
    """Every job, and the tasks that send their callbacks."""

    fates: Fates
    links: ResultLinks
    clock: Clock
    render_seconds: float
    http: httpx.AsyncClient
    memory: Memory
    stats: Stats = field(init=False, default_factory=Stats)
    _by_id: dict[str, SandboxJob] = field(init=False, default_factory=dict)
    _submissions_by_webhook: Counter[str] = field(init=False, default_factory=Counter)
    _sending: set[asyncio.Task[None]] = field(init=False, default_factory=set)

    def make(self, kind: str, job_input: Mapping[str, Any], webhook_url: str | None) -> SandboxJob:
        """Begin a job, and send its callbacks in a task of its own."""
        made = MadeJob(self.stats.jobs, kind, job_input, webhook_url, self.clock.now())
        self.memory.remember(made)
        now = self.clock.monotonic()
        return self._begin(made, made_at=now, sending_from=now)

    def recall(self) -> None:
        """Go on with the jobs of an earlier process. Callbacks that were due while nobody was there
        to send them are lost, as such are."""
        now, monotonic = self.clock.now(), self.clock.monotonic()
        for made in self.memory.jobs:
            made_at = monotonic - (now - made.made_at) / 1_000
            self._begin(made, made_at=made_at, sending_from=monotonic)

    def _begin(self, made: MadeJob, *, made_at: float, sending_from: float) -> SandboxJob:
        job = SandboxJob(
            ordinal=made.ordinal,
            kind=made.kind,
            input=made.input,
            webhook_url=made.webhook_url,
            fate=self.fates.of_job(made.ordinal),
            made_at=made_at,
        )
        self.stats.jobs = made.ordinal + 1
        self._by_id[job.request_id] = job
        if job.webhook_url is not None:
            self._submissions_by_webhook[job.webhook_url] += 1
            sending = self._send_callbacks(job, job.webhook_url, sending_from)
            task = asyncio.create_task(sending)
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        return job

    def find(self, request_id: str) -> SandboxJob | None:
        """The job with this id, if there is one."""
        return self._by_id.get(request_id)

    def is_completed(self, job: SandboxJob) -> bool:
        """Whether there is a result to open."""
        return job.fate.failure is None and self._is_over(job)

    def status(self, job: SandboxJob) -> dict[str, Any]:
        """How a job stands now, in the shape of the provider's status answer."""
        if self._is_over(job):
            return self._outcome(job)
        share = (self.clock.monotonic() - job.made_at) / self.render_seconds
        if share < _PENDING_SHARE:
            return {"status": "PENDING", "message": "Waiting for a renderer."}
        return _rendering(min(99, int(share * 100)))

    def listing(self) -> list[dict[str, Any]]:
        """All jobs, oldest first, for people and tests; `submissions` over 1 was paid for twice."""
        return [
            {
                "request_id": job.request_id,
                "kind": job.kind,
                "status": self.status(job)["status"],
                "input": job.input,
                "webhookUrl": job.webhook_url and _without_token(job.webhook_url),
                "submissions": self._submissions_by_webhook[job.webhook_url or ""] or 1,
                "status_calls": job.status_calls,
                "callbacks_sent": job.callbacks_sent,
                "callbacks_dropped": job.callbacks_dropped,
            }
            for job in self._by_id.values()
        ]

    async def close(self) -> None:
        """End the tasks, wherever they are, and close the connections."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        await self.http.aclose()

    async def _send_callbacks(self, job: SandboxJob, webhook_url: str, sending_from: float) -> None:
        for planned in job.fate.callbacks:
            due_at = job.made_at + planned.after
            if due_at < sending_from:
                continue  # nobody was there to send it
            # A sleep may end a hair early, and a status call must not contradict the callback.
            while (left := due_at - self.clock.monotonic()) > 0:
                await self.clock.sleep(left)
            await self._send(job, planned, webhook_url)

    async def _send(self, job: SandboxJob, planned: PlannedCallback, webhook_url: str) -> None:
        if planned.copies == 0:
            job.callbacks_dropped += 1
            self.stats.callbacks_dropped += 1
            return
        said = self._outcome(job) if planned.progress is None else _rendering(planned.progress)
        body = {"request_id": job.request_id, **said}
        self.stats.callbacks_duplicated += planned.copies - 1
        for _ in range(planned.copies):
            job.callbacks_sent += 1
            self.stats.callbacks_sent += 1
            try:
                await self.http.post(webhook_url, json=body, timeout=_CALLBACK_TIMEOUT)
            except httpx.HTTPError:
                # One bare POST and no retry: an address that cannot be reached has missed it.
                continue

    def _is_over(self, job: SandboxJob) -> bool:
        # The same sum as a callback's due time: as a quotient it could round to just under 1.
        return self.clock.monotonic() >= job.made_at + self.render_seconds

    def _outcome(self, job: SandboxJob) -> dict[str, Any]:
        if job.fate.failure is not None:
            return {"status": "FAILED", "message": job.fate.failure}
        link = self.links.make(job.request_id, self.clock.now())
        return {
            "status": "COMPLETED",
            "progress": 100,
            "result": {"videoUrl": link},
            "message": "All done!",
        }


def _rendering(progress: int) -> dict[str, Any]:
    return {"status": "IN_PROGRESS", "progress": progress, "message": "Processing..."}


def _without_token(webhook_url: str) -> str:
    path, slash, _ = webhook_url.partition("?")[0].rpartition("/")
    return f"{path}{slash}…"
