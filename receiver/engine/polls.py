"""Asks providers for the status of jobs: to confirm claims, and for jobs whose poll is due. Cancel
requests go from here too, as soon as the job's id at the provider is known.

If a call is not made because the calls to its provider pause, it counts for its job as one without
an answer, so deadlines follow the same rules while a provider is down.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from random import Random
from typing import Final

import structlog

from receiver.domain.answers import StatusUnavailable
from receiver.domain.observations import CancelAnswer, Observation, StatusCallEnded, TimeoutReached
from receiver.domain.schedule import DAY
from receiver.engine.context import ServiceContext
from receiver.engine.gate import View
from receiver.engine.lanes import LEASE_SLACK, Handler, LaneTimer, retry_until_stored
from receiver.engine.observe_job import observe_leased
from receiver.engine.status_calls import PROVIDER
from receiver.streams.hub import Hub
from receiver.upstream.contract import UpstreamJob, upstream_job
from store.errors import NotFound
from store.lanes import Candidate
from store.records.jobs import Job
from store.records.times import Lane, Lease, Millis

POLL_LEASE: Final[Millis] = 15_000 + LEASE_SLACK
"""How long a job is leased for one call."""
CONFIRMS_PER_POLL: Final = 4
"""Confirming calls for each poll while polls are due: every fifth call is a poll."""

log = structlog.get_logger()


class StatusPolls(Handler[Job]):
    """The lanes of jobs that are due for a status call."""

    name = "status polls"
    drain_seconds = 2.0

    def __init__(self, services: ServiceContext, hub: Hub, rng: Random) -> None:
        self._confirm = LaneTimer(services.clock, hub, Lane.CONFIRM)
        self._poll = LaneTimer(services.clock, hub, Lane.POLL)
        super().__init__(services.status_calls.concurrency, [self._confirm, self._poll])
        self._services = services
        self._calls = services.status_calls
        self._rng = rng
        self._waits: dict[Lane, list[Millis]] = {lane: [0, 0] for lane in (Lane.CONFIRM, Lane.POLL)}
        """How long jobs had been due at the last two looks; 0 if a look found less than it might
        take. Both together show that due jobs go on waiting."""
        self._confirms = 0
        """Confirming calls begun while polls were due; each poll subtracts `CONFIRMS_PER_POLL`."""

    # --- taking -----------------------------------------------------------------------------------

    async def take(self, free: int, running: Mapping[str, Job]) -> Sequence[Job]:
        """Lease jobs within the rate: claims first, but every fifth call is left to polls."""
        monotonic = self._services.clock.monotonic()
        allowed = self._calls.rate.free(monotonic)
        room, limit = min((free, "POLL_CONCURRENCY"), (allowed, "POLL_RATE"))
        if room <= 0:
            for timer in self.timers:
                if timer.is_due:
                    timer.at = None
                    timer.look_after(self._calls.rate.seconds_until_free(monotonic))
            return []
        polls_are_due = self._poll.is_due
        kept = (self._confirms + room) // (CONFIRMS_PER_POLL + 1) if polls_are_due else 0
        confirms = await self._lease(self._confirm, room - kept, running)
        polls = await self._lease(self._poll, room - len(confirms), running)
        if polls_are_due:
            self._confirms += len(confirms)
        self._confirms = max(0, self._confirms - CONFIRMS_PER_POLL * len(polls))
        self._calls.note_wait(limit, max(map(min, self._waits.values())))
        return [*confirms, *polls]

    async def _lease(self, timer: LaneTimer, most: int, running: Mapping[str, Job]) -> list[Job]:
        if most <= 0 or not timer.is_due:
            return []
        store, now = self._services.store, self._services.clock.now()
        lease = Lease(self._services.holder, now + POLL_LEASE)
        view = self._calls.gate.view()
        luck = self._rng.random() if view.throttles else 0.0
        choose = partial(_choose, view, frozenset(running), luck)
        found = await timer.look(lambda look: store.due.lease(look, lease), most, choose)
        last = found.taken[-1].due if len(found.taken) == most else None
        wait = self._services.clock.now() - last.at if last else 0
        self._waits[timer.lane] = [self._waits[timer.lane][-1], wait]
        return found.taken

    async def release(self, works: Sequence[Job]) -> None:
        await self._services.store.due.release(self._services.holder, works)

    # --- one call ---------------------------------------------------------------------------------

    async def handle(self, work: Job) -> None:
        observation = await self._ask(work)
        if observation is None:
            return  # the job is tried again when its lease ends
        try:
            observe = partial(observe_leased, self._services, work, observation)
            await retry_until_stored(self._services.clock, "a status answer", observe)
        except NotFound:
            return  # the job was removed meanwhile

    async def _ask(self, job: Job) -> Observation | None:
        """Make the call that the job waits for. None if it is a cancel request that did not
        arrive."""
        asked_at, number = self._services.clock.now(), job.tracking.polls + 1
        upstream = upstream_job(job)
        if upstream is None:
            # Its id is unknown: it waits for its deadline.
            return TimeoutReached()
        if job.cancel_wanted:
            return await self._pass_on_cancel(job, upstream)
        provider = self._services.providers.get(job.provider)
        if provider is None:
            answer = StatusUnavailable(f"provider {job.provider} is not configured")
            return StatusCallEnded(number, asked_at, upstream.id, answer)
        # If the job is known to be COMPLETED, only the result is fetched, where it has an endpoint
        # of its own: the status may lag.
        ask = provider.result if job.tracking.link_missing else provider.status
        said = await self._calls.ask(job.provider, partial(ask, upstream))
        return StatusCallEnded(number, asked_at, upstream.id, said)

    async def _pass_on_cancel(self, job: Job, upstream: UpstreamJob) -> CancelAnswer | None:
        """Ask the provider to cancel a job that its user has cancelled. Pauses are ignored: without
        the call the job goes on costing money. None if it did not arrive and is to be repeated, but
        not for ever: retention does not remove the job meanwhile."""
        provider = self._services.providers.get(job.provider)
        if provider is None:
            reason = f"provider {job.provider} is not configured"
            answer = CancelAnswer("not_sent", message=reason)
        else:
            self._calls.gate.began((), self._services.clock.monotonic())
            answer = await provider.cancel(upstream)
            log.info("cancel passed on", job=job.id, outcome=answer.outcome)
        is_late = self._services.clock.now() - (job.done_at or 0) >= DAY
        return answer if is_late or answer.outcome != "not_sent" else None


def _choose(
    view: View, running: frozenset[str], luck: float, candidates: Sequence[Candidate]
) -> list[Candidate]:
    """All, but of a provider whose calls have paused one as the probe, and none until it is
    answered. The probe is a random job of a random user: one whose calls always fail must not
    always be it. While a pause lasts, jobs are taken, and go on without their calls. A change of a
    job ends its lease, so it can be due again during its call. `luck` is from 0 to 1."""
    admitted: list[Candidate] = []
    by_user: dict[str, dict[int, list[Candidate]]] = {}
    for each in candidates:
        throttle = view.throttle((PROVIDER, each.peer))
        if each.id in running or throttle.state == "half_open":
            continue
        if throttle.room(view.at) == 1:
            by_user.setdefault(each.peer, {}).setdefault(each.user_id, []).append(each)
        else:
            admitted.append(each)
    return [*(_drawn(luck, of_provider) for of_provider in by_user.values()), *admitted]


def _drawn(luck: float, by_user: Mapping[int, list[Candidate]]) -> Candidate:
    at = luck * len(by_user)
    jobs = [*by_user.values()][int(at)]
    return jobs[int(at % 1 * len(jobs))]
