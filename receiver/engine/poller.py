"""Polls the providers, fairly by user: to confirm claims, and for jobs whose poll is due, which get
every fifth call while there are both.

Cancel requests are sent from here too, as soon as the provider's id is known.

One rate limit and one concurrency limit apply to all these calls. A call refused by an open circuit
breaker counts for its job as a call without an answer, so gaps, timeouts and deadlines follow the
same rules while a provider is down.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

from receiver.domain.fair_queue import FairQueue
from receiver.domain.observations import Observation
from receiver.domain.probe_queue import ProbeQueue
from receiver.engine.context import ServiceContext
from receiver.engine.observe_job import observe_job
from receiver.engine.provider_calls import ProviderCalls
from receiver.engine.worker import (
    MAX_IDLE_SECONDS,
    DueTimer,
    TaskPool,
    until_stored,
)
from receiver.streams.hub import Hub
from store.errors import NotFound
from store.records.jobs import Job
from store.records.times import Lane, Millis

POLL_LEASE: Millis = 30_000
"""How long a job is leased for its wait here and one call. No call begins after the lease's end;
one that begins late may outlast it."""
CONFIRMS_AHEAD = 200
"""Jobs to confirm are leased from the store while fewer than this wait here: few
enough to leave some to other processes."""
MAX_FAILING_PER_USER = 100
"""While so many of a user's failing jobs wait for a slot, no further ones are queued for a poll:
they are found when their lease ends. Jobs to confirm or to cancel are queued in any case."""
CALLS_PER_PASS = 100
"""Maximum number of jobs that a pass leases to confirm, and then to poll."""
CONFIRMS_PER_POLL = 4
"""Confirming calls for each poll while polls are due: every fifth call is a poll."""
POLL_DRAIN_SECONDS = 2.0

_LeasedJobs: TypeAlias = FairQueue[str, tuple[Job, Millis]]
"""Jobs that wait for a slot, by id, with the end of their lease, which may come while they wait."""


class Poller:
    """The polling worker, which finds every outcome even without callbacks."""

    name = "poller"

    def __init__(self, services: ServiceContext, hub: Hub) -> None:
        self._services = services
        self._provider_calls = ProviderCalls(services)
        self._calls = services.status_calls
        self._timer = DueTimer(services, hub, Lane.CONFIRM, Lane.POLL)
        self._task_pool = TaskPool(self._calls.concurrency)
        self._to_confirm = _LeasedJobs(self._calls.concurrency)
        self._confirms = 0
        """Confirming calls begun while polls were due; each poll subtracts `CONFIRMS_PER_POLL`."""
        self._failing = _LeasedJobs(max(1, self._calls.concurrency // 2))
        """Jobs whose last call failed: their next one may hang, so they share half of the slots."""

    async def run_once(self) -> int:
        """Start calls that are due, within the limits; returns how many."""
        await self._make_queued_due()
        begun = self._begin_failing_jobs(self._room(Lane.POLL))
        begun += await self._poll_due(self._confirms // CONFIRMS_PER_POLL)
        await self._lease_confirms()
        begun += self._begin_confirms()
        begun += await self._poll_due(CALLS_PER_PASS)
        if begun:
            await asyncio.sleep(0)  # let them start; what a breaker refuses frees the rate limit
        return begun

    async def idle(self) -> None:
        if not self._task_pool.free:
            await self._task_pool.wait_any()
            return
        pause = self._calls.seconds_until_free()
        if pause > 0:
            await self._services.clock.sleep(pause)
            return
        monotonic = self._services.clock.monotonic()
        probes = (
            self._queue_due_at(provider) for provider, queue in self._calls.queues.items() if queue
        )
        waits = [at - monotonic for at in probes if at is not None]
        most = max(0.01, min([MAX_IDLE_SECONDS, *waits]))
        await self._timer.wait(most)

    async def stop(self) -> None:
        """Release the jobs that wait here, and cancel calls that do not end soon. An answer that
        was not stored is lost: its job stays due."""
        waiting = [*self._to_confirm.items, *self._failing.items]
        if waiting:
            await self._services.store.jobs.release(self._services.holder, waiting)
        await self._task_pool.drain(POLL_DRAIN_SECONDS)

    def _queue_due_at(self, provider: str) -> float | None:
        """When the call for the next job in the provider's probe queue may be made: as a probe, or
        at once if the provider answers again. None while a probe is under way."""
        breaker = self._calls.breakers[provider]
        if breaker.state == "closed":
            return 0.0
        at = breaker.probe_at
        return None if at is None else max(at, self._calls.queues[provider].next_call_at)

    async def _make_queued_due(self) -> None:
        """Make a queued job's call due as soon as a breaker allows a probe, so that a recovery is
        noticed then and not minutes later, when the next job is due. Once the breaker is closed,
        make the others due: one of each provider per pass."""
        monotonic = self._services.clock.monotonic()
        for provider, queue in list(self._calls.queues.items()):
            at = self._queue_due_at(provider)
            if at is not None and at <= monotonic and self._room(Lane.POLL) > 0:
                await self._make_next_due(queue, monotonic)

    async def _make_next_due(self, queue: ProbeQueue, monotonic: float) -> None:
        """Make the next queued job's call due. If it needs no status call any more, the next pass
        follows at once and takes another: many finished jobs must not delay the polls."""
        job_id, now = queue.take_next(monotonic), self._services.clock.now()
        if job_id is not None and not await self._services.store.jobs.make_status_call_due(
            job_id, now
        ):
            queue.give_back()
            self._timer.wake.notify()

    async def _lease_confirms(self) -> None:
        """Lease jobs that are due for confirmation, and queue them."""
        most = min(CALLS_PER_PASS, CONFIRMS_AHEAD - len(self._to_confirm.items))
        until = self._services.clock.now() + POLL_LEASE
        async with self._timer.leased(Lane.CONFIRM, POLL_LEASE, most) as jobs:
            for job in jobs:
                self._to_confirm.add(job.user_id, job.id, (job, until))

    def _begin_confirms(self) -> int:
        """Start confirming calls, the user with the fewest first, within the limits; in place of a
        job that cannot start, a failing one may. Jobs whose lease has ended are dropped: they can
        be leased again."""
        begun = 0
        while self._room(Lane.CONFIRM) > 0 and (leased := self._to_confirm.take()):
            job, until = leased
            is_leased = self._services.clock.now() < until
            if is_leased and self._admit(job, until, ahead=True):
                self._confirms += self._timer.is_due(Lane.POLL)
                self._begin(job, partial(self._poll_in_slot, self._to_confirm))
                begun += 1
            else:
                self._to_confirm.give_back(job.user_id)
                begun += self._begin_failing_jobs(1)
        return begun

    async def _poll_due(self, most: int) -> int:
        """Start calls for jobs whose poll is due, users round-robin, within the limits."""
        room, until = min(self._room(Lane.POLL), most), self._services.clock.now() + POLL_LEASE
        begun = 0
        async with self._timer.leased(Lane.POLL, POLL_LEASE, room) as jobs:
            for job in jobs:
                if self._admit(job, until, ahead=job.cancel_wanted):
                    self._confirms = max(0, self._confirms - CONFIRMS_PER_POLL)
                    self._begin(job, self._poll)
                    begun += 1
                else:
                    begun += self._begin_failing_jobs(1)
        if not self._timer.is_due(Lane.POLL):
            self._confirms = 0
        return begun

    def _room(self, lane: Lane) -> int:
        """How many calls may start now. While polls are due, every fifth call is left to them."""
        room = min(self._task_pool.free, self._calls.free())
        if lane is Lane.CONFIRM and self._timer.is_due(Lane.POLL):
            polls = (self._confirms + room) // (CONFIRMS_PER_POLL + 1)
            return max(0, room - polls)
        return room

    def _admit(self, job: Job, until: Millis, *, ahead: bool) -> bool:
        """Return whether to call for the job now. If its last call failed, queue it for one of the
        failing jobs' slots instead, behind or ahead of its user's others."""
        if self._is_running(job):
            # Any change of a job ends its lease, so it can be leased again during a call. The end
            # of that call releases it.
            return False
        if not self._calls.is_failing(job.provider, job.id):
            return True
        has_place = self._failing.waiting(job.user_id) < MAX_FAILING_PER_USER
        if has_place or ahead or job.id in self._failing.items:
            self._failing.add(job.user_id, job.id, (job, until), ahead=ahead)
        return False

    def _begin_failing_jobs(self, most: int) -> int:
        """Start at most `most` calls for failing jobs, while they have free slots."""
        begun = 0
        while begun < most and (leased := self._failing.take()):
            job, until = leased
            if self._services.clock.now() < until and not self._is_running(job):
                self._begin(job, partial(self._poll_in_slot, self._failing))
                begun += 1
            else:
                self._failing.give_back(job.user_id)
        return begun

    def _is_running(self, job: Job) -> bool:
        return self._task_pool.is_running(f"poll {job.id}")

    def _begin(self, job: Job, work: Callable[[Job], Awaitable[None]]) -> None:
        self._calls.begin()
        self._task_pool.begin(f"poll {job.id}", work, job)

    async def _poll_in_slot(self, queue: _LeasedJobs, job: Job) -> None:
        """Poll, and give the job's slot back to its queue."""
        try:
            await self._poll(job)
        finally:
            queue.give_back(job.user_id)
            self._timer.wake.notify()

    async def _poll(self, job: Job) -> None:
        try:
            observation = await self._provider_calls.ask(job)
            if observation is None:
                return  # the job is tried again when its lease expires
            observe = partial(self._observe, job.id, observation)
            await until_stored(self._services.clock, "a status answer", observe)
        except NotFound:
            return  # the job was removed meanwhile
        except asyncio.CancelledError:
            await self._services.store.jobs.release(self._services.holder, [job.id])
            raise
        finally:
            self._calls.end()

    async def _observe(self, job_id: str, observation: Observation) -> None:
        job, move = await observe_job(self._services, job_id, observation)
        if move is None and job.due is not None and job.due.lane in (Lane.CONFIRM, Lane.POLL):
            # The answer was outdated: end the lease if the job was leased again during the call.
            await self._services.store.jobs.release(self._services.holder, [job_id])
