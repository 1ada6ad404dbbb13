"""Asks providers how jobs stand: claims that wait to be confirmed first, then whoever is due.

One rate and one number of calls at once hold for all of them. A call that an open breaker refuses
is an answer like any other ("no answer can be had"), so gaps, timeouts and deadlines go on by the
same rules while a provider is away.
"""

import asyncio

import structlog

from receiver import tracing
from receiver.actions.core import Core
from receiver.actions.observe_job import observe_job
from receiver.actions.trace_of import trace_of
from receiver.domain.breaker import Breaker
from receiver.domain.observations import Polled, StatusAnswer, StatusUnavailable
from receiver.domain.pace import Pace
from receiver.streams.hub import Hub
from receiver.workers.worker import Flight
from store.errors import NotFound
from store.records import Job, Lane, Millis

LEASE: Millis = 30_000
"""How long a job is held for one call: longer than a call and its writing take."""
DRAIN_SECONDS = 2.0
SAFETY_SECONDS = 1.0

log = structlog.get_logger()


class Poller:
    """The worker that makes every callback dispensable."""

    name = "poller"

    def __init__(self, core: Core, hub: Hub, holder: str, rate: float, at_once: int) -> None:
        """`rate` in calls a second."""
        self._core = core
        self._bell = hub.lasting_bell(Lane.CONFIRM, Lane.POLL)
        self._holder = holder
        self._pace = Pace(rate)
        self._flight = Flight(at_once)
        self._asking: set[str] = set()
        self._breakers = {name: Breaker() for name in core.providers}
        self._probes: dict[str, str] = {}
        """By provider whose breaker is open: the job to ask for at the next probe."""

    async def run_once(self) -> int:
        """Begin the status calls that are due, within the pace; how many."""
        await self._make_probes_due()
        begun = 0
        for lane in (Lane.CONFIRM, Lane.POLL):
            begun += await self._begin(lane)
        return begun

    async def idle(self) -> None:
        if not self._flight.free:
            await self._flight.landing()
            return
        pause = self._pace.wait(self._core.clock.monotonic())
        if pause > 0:
            await self._core.clock.sleep(pause)
            return
        now = self._core.clock.now()
        dues = [await self._core.store.jobs.next_due(lane) for lane in (Lane.CONFIRM, Lane.POLL)]
        waits = [(due - now) / 1_000 for due in dues if due is not None]
        monotonic = self._core.clock.monotonic()
        waits += [at - monotonic for at in map(self._probe_at, self._probes) if at is not None]
        await self._bell.wait(max(0.01, min([SAFETY_SECONDS, *waits])))

    async def stop(self) -> None:
        """A call that is cut off has changed nothing: its job is due again when its hold ends."""
        await self._flight.drain(DRAIN_SECONDS)

    async def drain(self) -> None:
        """Wait for every call that has begun."""
        await self._flight.drain()

    def _probe_at(self, provider: str) -> float | None:
        return self._breakers[provider].probe_at

    async def _make_probes_due(self) -> None:
        """A provider that is back is heard of when its breaker lets a call through, and not only
        when the next job is due, which may be minutes later."""
        monotonic = self._core.clock.monotonic()
        for provider, job_id in list(self._probes.items()):
            at = self._probe_at(provider)
            if at is not None and at <= monotonic:
                del self._probes[provider]
                await self._core.store.jobs.poll_at_once(job_id, self._core.clock.now())

    async def _begin(self, lane: Lane) -> int:
        clock = self._core.clock
        room = min(self._flight.free, self._pace.free(clock.monotonic()))
        if room <= 0:
            return 0
        now = clock.now()
        jobs = await self._core.store.jobs.lease_due(lane, now, now + LEASE, self._holder, room)
        # Whatever changes a job ends the hold on it, so one can come here while it is being asked
        # about. There is one call at a time for a job: the end of that one lets go of it again.
        fresh = [job for job in jobs if job.id not in self._asking]
        for job in fresh:
            self._pace.take(clock.monotonic())
            self._asking.add(job.id)
            self._flight.begin(self._poll(job), f"poll {job.id}")
        return len(fresh)

    async def _poll(self, job: Job) -> None:
        if job.provider_request_id is None:
            return  # nobody can be asked, and no lane of ours holds such a job
        asked_at = self._core.clock.now()
        try:
            answer = await self._ask(job, job.provider_request_id)
            polled = Polled(asked_at, job.provider_request_id, answer)
            await observe_job(self._core, job.id, polled)
        except NotFound:
            return  # removed meanwhile
        except asyncio.CancelledError:
            await self._core.store.jobs.release(self._holder, [job.id])
            raise
        finally:
            self._asking.discard(job.id)

    async def _ask(self, job: Job, provider_request_id: str) -> StatusAnswer:
        provider = self._core.providers.get(job.provider)
        if provider is None:
            return StatusUnavailable(f"no provider {job.provider} runs here")
        trace = await trace_of(self._core, job.id)
        breaker = self._breakers[job.provider]
        monotonic = self._core.clock.monotonic
        if not breaker.allows(monotonic()):
            return self._count(job, StatusUnavailable("the breaker is open"), "breaker_open")
        try:
            with tracing.step("poll job", "client", trace, job.id):
                answer = await provider.status(provider_request_id)
                _tell(job, answer)
        except BaseException:
            breaker.abandoned()
            raise
        if isinstance(answer, StatusUnavailable):
            breaker.failed(monotonic(), by_credentials=answer.by_credentials)
            log.warning("a status call failed", job=job.id, reason=answer.reason)
            if breaker.probe_at is not None and answer.retry_after is None:
                self._probes[job.provider] = job.id
            refused = self._core.metrics.credentials_refused.labels(job.provider)
            refused.set(answer.by_credentials)
        else:
            breaker.succeeded()
            self._probes.pop(job.provider, None)
            self._core.metrics.credentials_refused.labels(job.provider).set(0)
        self._core.metrics.set_breaker(job.provider, breaker.state)
        return self._count(job, answer, answer.outcome)

    def _count(self, job: Job, answer: StatusAnswer, outcome: str) -> StatusAnswer:
        self._core.metrics.polls.labels(job.provider, outcome).inc()
        return answer


def _tell(job: Job, answer: StatusAnswer) -> None:
    """Tell the span of a status call what came of it."""
    outcome = answer.outcome
    tracing.tell("receiver.provider", job.provider)
    tracing.tell("receiver.outcome", outcome)
    if isinstance(answer, StatusUnavailable):
        tracing.failed(outcome)
