"""Sends queued jobs to their providers, each job once.

The step to `submitting` is the taking itself, committed before the first byte. The answer is an
observation, and counts whatever became of the lease.

After an answer "later" (429, or 503 with Retry-After) the job waits, all submissions to that
provider pause for a second, and those of that user for a growing time. So a user who is always
refused costs the others a second, and nothing else. Pauses are in memory alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import structlog

from receiver.domain.answers import (
    SubmitAccepted,
    SubmitAmbiguous,
    SubmitAnswer,
    SubmitNotSent,
    SubmitRefused,
)
from receiver.domain.lifecycle import decide
from receiver.domain.observations import SubmissionBegins, SubmissionEnded, TimeoutReached
from receiver.domain.schedule import longest_wait
from receiver.engine.context import CallbackAddress, ServiceContext
from receiver.engine.failure_log import FailureLog
from receiver.engine.gate import Gate, Keys, Limit, Pauses, View
from receiver.engine.lanes import Handler, LaneTimer, retry_until_stored
from receiver.engine.observe_job import log_failures, observe_job
from receiver.engine.supervisor import BATCH
from receiver.streams.hub import Hub
from store.errors import NotFound, OutcomeUnknown, StoreUnavailable
from store.lanes import Candidate
from store.records.jobs import Job, Phase, Waited
from store.records.times import Lane, Millis
from store.records.transitions import Transition

USER_PAUSES: Final = Pauses(after=1, first=1.0, longest=60.0)
LIMITS: Final = {
    "user": Limit(pauses=USER_PAUSES),
    "provider": Limit(pauses=Pauses(after=1, first=1.0, longest=1.0)),
}
"""A user is one at one provider."""
EXPIRY_SECONDS: Final = 1.0
AT_ONCE: Final = 1.0
"""A job that nothing was seen to keep back has not waited if it begins within so many seconds: a
commit of another process is noticed once a second."""
CLOCK_STEP: Final = 0.001
"""The resolution of stored times."""

Call: TypeAlias = Callable[[], Awaitable[SubmitAnswer]]
"""Sends a submission."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class BegunSubmission:
    """One submission that has begun."""

    job: Job
    begun: SubmissionBegins
    began: float
    """Monotonic time of the taking."""

    @property
    def id(self) -> str:
        return self.job.id


class Submissions(Handler[BegunSubmission]):
    """The lane of jobs that are due for submission."""

    name = "submissions"
    drain_seconds = 7.0

    def __init__(
        self, services: ServiceContext, hub: Hub, callback_address: CallbackAddress, slots: int
    ) -> None:
        limits = services.rules.jobs_in_flight
        self._timer = LaneTimer(services.clock, hub, Lane.SUBMIT, limits)
        super().__init__(slots, [self._timer])
        self._services = services
        self._callback_address = callback_address
        self._gate = Gate(services.clock, LIMITS)
        self._failures = FailureLog(services.clock, "submissions", "provider")
        self._full_at = dict[str, float]()
        """By provider: when a look last left jobs there for want of a place (monotonic)."""
        self._all_busy = False
        """Whether the last look filled all slots: what is queued until the next waits for one."""
        self._busy_at = float("-inf")
        """When jobs last waited for a slot (monotonic)."""
        self._expire_at = 0.0
        """Monotonic time of the next search for jobs past their deadline."""
        for name in services.providers:
            paused = services.metrics.submissions_paused.labels(name)
            paused.set_function(partial(self._is_paused, name))

    def _is_paused(self, provider: str) -> float:
        now = self._services.clock.monotonic()
        return float(self._gate.throttle(("provider", provider)).seconds_left(now) > 0)

    def holds_back(self, job: Job) -> bool:
        """Whether a pause of this process keeps the job from its submission."""
        return not self._gate.admits(_keys(job))

    # --- taking -----------------------------------------------------------------------------------

    async def take(
        self, free: int, running: Mapping[str, BegunSubmission]
    ) -> Sequence[BegunSubmission]:
        """Begin attempts: each is committed before its first byte is sent."""
        services, begun = self._services, dict[str, SubmissionBegins]()
        now, view = services.clock.now(), self._gate.view()
        choose = partial(_choose, view, services.rules.jobs_in_flight)
        if self._all_busy:
            self._busy_at = view.at

        def begin(job: Job) -> Transition | None:
            lease_until, waited = now + services.rules.submit_lease, self._waited(job, view)
            begun[job.id] = SubmissionBegins(job.attempts + 1, lease_until, waited)
            return decide(job, begun[job.id], services.clock.now(), services.rules)

        try:
            found = await self._timer.look(
                lambda look: services.store.due.advance(look, begin), free, choose
            )
        except OutcomeUnknown:
            # They may be `submitting` now, and would wait for answers in vain.
            unsent = SubmitNotSent("the store failed before it was sent")
            for job_id, attempt in begun.items():
                await self._report(job_id, SubmissionEnded(attempt, unsent))
            raise
        changed = found.taken
        self._all_busy = len(changed) >= free
        self._full_at |= dict.fromkeys(found.full, view.at)
        for each in found.refused:
            self._gate.held_back(_keys(each), view.at)
        if found.has_more:
            await self._look_after_those_left(now)
        log_failures(changed)
        # Without a transition, another process has begun it, since our lease had ended.
        ours = [each.job for each in changed if each.transition is not None]
        jobs = [job for job in ours if job.phase is Phase.SUBMITTING]
        for job in jobs:
            self._gate.began(_keys(job), view.at)
        return [BegunSubmission(job, begun[job.id], view.at) for job in jobs]

    def _waited(self, job: Job, view: View) -> Waited | None:
        """What a queued job has waited for: the last that this process has seen keep back its
        provider's jobs since it was queued. A process that saw nothing, because it has just started
        say, knows only whether an earlier attempt failed."""
        seconds = (self._services.clock.now() - job.updated_at) / 1_000
        last = {
            "pause": max(view.throttle(key).held_back_at for key in _keys(job)),
            "place": self._full_at.get(job.provider, float("-inf")),
            "turn": self._busy_at,
        }
        reason = max(last, key=last.__getitem__)
        if last[reason] < view.at - seconds - CLOCK_STEP:  # not since it was queued
            if not job.attempts and seconds < AT_ONCE:
                return None
            reason = "pause" if job.attempts else "turn"
        return Waited(reason, seconds) if seconds > 0 else None

    async def _look_after_those_left(self, now: Millis) -> None:
        """Plan the next look for jobs that wait for a slot or the end of a pause, and end those
        whose deadline has passed meanwhile."""
        services, monotonic = self._services, self._services.clock.monotonic()
        self._timer.look_after(min([EXPIRY_SECONDS, *self._gate.view().pauses_left()]))
        if monotonic < self._expire_at:
            return
        self._expire_at = monotonic + EXPIRY_SECONDS
        for provider in services.known_kinds:
            created_before = now - longest_wait(provider, services.rules)
            for job_id in await services.store.jobs.overdue(provider, created_before, BATCH):
                with suppress(NotFound):
                    await observe_job(services, job_id, TimeoutReached())

    # --- one attempt ------------------------------------------------------------------------------

    async def handle(self, work: BegunSubmission) -> None:
        cancelled: SubmitAnswer = SubmitNotSent("the service stopped before it was sent")
        try:
            prepared = await self._prepare(work)
            if isinstance(prepared, SubmitNotSent):
                answer: SubmitAnswer = prepared
            else:
                cancelled = SubmitAmbiguous("the service stopped meanwhile")
                answer = await self._send(work.job, prepared)
            self._learn(work, answer)
        except asyncio.CancelledError:
            await self._report_once(work, cancelled)
            raise
        finally:
            self._gate.abandoned(_keys(work.job), work.began)
        job, metrics = work.job, self._services.metrics
        metrics.submissions.labels(job.provider, answer.outcome).inc()
        log.info("submission ended", job=job.id, outcome=answer.outcome)
        await self._report(job.id, SubmissionEnded(work.begun, answer))

    async def _prepare(self, attempt: BegunSubmission) -> Call | SubmitNotSent:
        """What to send, or why nothing may be sent."""
        job, services = attempt.job, self._services
        provider = services.providers.get(job.provider)
        if provider is None:
            return SubmitNotSent(f"provider {job.provider} is not configured")
        try:
            input_json = await services.store.jobs.input_to_send(job.id)
        except StoreUnavailable as error:
            return SubmitNotSent(f"the job could not be read: {error}")
        if input_json is None:
            return SubmitNotSent("it was cancelled before it was sent")
        if self.stopping:
            return SubmitNotSent("the service stopped before it was sent")
        # This process may have been suspended, and the job is unconfirmed by now.
        if services.clock.now() >= attempt.begun.lease_until:
            return SubmitNotSent("its lease ended before it was sent")
        return partial(provider.submit, job.kind, input_json, self._callback_address(job), job.id)

    async def _send(self, job: Job, call: Call) -> SubmitAnswer:
        try:
            answer = await call()
        except Exception as error:
            # Adapters should not raise; whatever this is, bytes may have been sent.
            log.error("a provider failed", job=job.id, exc_info=error)
            answer = SubmitAmbiguous(f"the adapter failed: {type(error).__name__}")
        match answer:
            case SubmitNotSent(reason=reason, status_code=None) | SubmitAmbiguous(reason=reason):
                self._failures.failed(job.provider, reason)
            case SubmitRefused(message=reason, credentials_refused=True):
                self._failures.failed(job.provider, reason)
            case SubmitAccepted() | SubmitRefused():
                self._failures.succeeded(job.provider)
            case SubmitNotSent():  # refused for now: a pause shows that
                pass
        return answer

    def _learn(self, attempt: BegunSubmission, answer: SubmitAnswer) -> None:
        """Begin or end pauses by the answer, and note whether our key was accepted."""
        job = attempt.job
        match answer:
            case SubmitNotSent(status_code=int(), retry_after=retry_after):
                pause = None if retry_after is None else retry_after / 1_000
                self._gate.failed(_keys(job), attempt.began, pause)
            case SubmitAccepted() | SubmitRefused():
                self._gate.succeeded(_keys(job), attempt.began)
                refused = isinstance(answer, SubmitRefused) and answer.credentials_refused
                self._services.metrics.provider_credentials_refused.labels(job.provider).set(
                    refused
                )
            case _:
                pass  # it says nothing about later ones

    async def _report(self, job_id: str, ended: SubmissionEnded) -> None:
        """Store an answer, however long it takes: a lost one could cost money."""
        with suppress(NotFound):
            write = partial(observe_job, self._services, job_id, ended)
            await retry_until_stored(self._services.clock, "a submission's answer", write)

    async def _report_once(self, attempt: BegunSubmission, answer: SubmitAnswer) -> None:
        """Store an answer without retries, at a shutdown. If that fails, the job becomes
        unconfirmed at the next start, or at the end of its lease."""
        try:
            await observe_job(
                self._services, attempt.job.id, SubmissionEnded(attempt.begun, answer)
            )
        except StoreUnavailable as error:
            log.warning("an answer could not be stored", job=attempt.job.id, reason=str(error))


def _keys(each: Job | Candidate) -> Keys:
    provider = each.provider if isinstance(each, Job) else each.peer
    return ("user", (provider, each.user_id)), ("provider", provider)


def _choose(
    view: View, limited: Container[str], candidates: Sequence[Candidate]
) -> list[Candidate]:
    """The candidates that may be sent. After a provider's pause one goes at a time, until it is
    answered, of a user who was not refused if there is one. Batch jobs let all others that may
    go to a provider with a limit go first."""

    def last(each: Candidate) -> tuple[bool, bool]:
        both_failed = all(view.throttle(key).until is not None for key in _keys(each))
        return each.peer in limited and each.batch, both_failed

    return view.choose(_keys, sorted(candidates, key=last))
