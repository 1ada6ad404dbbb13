"""Reads and updates the providers' holds in the store, with a copy in memory."""

from collections.abc import Mapping

from receiver.domain import holds as rules
from receiver.domain.answers import SubmitNotSent
from receiver.engine.context import ServiceContext
from store.records.holds import ProviderHolds, Refusal
from store.records.jobs import Job
from store.records.times import Millis


class HoldKeeper:
    """Decides whether a submission may be sent, and records probes, refusals and answers. Every
    method that writes raises `StoreUnavailable` and may be repeated."""

    def __init__(self, services: ServiceContext) -> None:
        self._services = services
        self._queue = services.queue
        self._probes: set[str] = set()
        """Jobs that this process has sent as probes and that have no answer yet. The copy in memory
        may lack them: a read that began before may have ended after."""

    def learn(self, found: Mapping[str, ProviderHolds]) -> None:
        """Take over the store's current holds, and export the end of each provider's hold on all
        users as a metric."""
        self._queue.holds = found
        now = self._services.clock.now()
        held_until = self._services.metrics.submissions_held_until_timestamp_seconds
        for provider in self._services.providers:
            holds = rules.current(found.get(provider, rules.NO_HOLDS), now)
            until = next((hold.until for is_of_all, hold in holds if is_of_all), 0)
            held_until.labels(provider).set(until / 1_000)

    async def admit(self, job: Job) -> bool:
        """Return whether the job may be sent. After the end of a hold, it may be sent only as a
        probe, and is recorded as one."""
        known = self._queue.holds.get(job.provider, rules.NO_HOLDS)
        if not rules.holds_on(known, job.user_id):
            return True
        now = self._services.clock.now()
        holds = await self._change(
            job, lambda holds: rules.send_probe(holds, job.user_id, job.id, now)
        )
        if rules.is_probe(holds, job.user_id, job.id):
            self._probes.add(job.id)
            return True
        return not rules.holds_on(holds, job.user_id)  # they may have ended meanwhile

    async def record_refusal(self, job: Job, answer: SubmitNotSent, at: Millis) -> None:
        """Record a refusal at time `at`; no effect if the answer is not a rate-limit refusal."""
        if answer.status_code is not None:
            refusal = Refusal(job.id, job.user_id, job.user, answer.status_code)
            await self._change(
                job, lambda holds: rules.refused(holds, refusal, answer.retry_after, at)
            )

    async def record_answer(self, job: Job) -> None:
        """Record that the provider accepted a probe, or refused it with another 4xx than 429; no
        effect if the job is no probe of this process."""
        if job.id in self._probes:
            now = self._services.clock.now()
            await self._change(job, lambda holds: rules.answered(holds, job.user_id, job.id, now))

    def forget(self, job: Job) -> None:
        """Forget a job whose submission has ended: it is no probe any more."""
        self._probes.discard(job.id)

    async def _change(self, job: Job, change: rules.Change) -> ProviderHolds:
        holds = await self._services.store.holds.change(job.provider, change)
        self.learn({**self._queue.holds, job.provider: holds})
        return holds
