"""The services that the use cases share."""

from collections.abc import Mapping
from dataclasses import dataclass

from receiver import tracing
from receiver.clock import Clock
from receiver.domain.schedule import Rules
from receiver.engine.status_calls import StatusCalls
from receiver.engine.submission_queue import SubmissionQueue
from receiver.metrics import Metrics
from receiver.providers.contract import Provider
from store.database import Store
from store.errors import StoreUnavailable
from store.ids import Ids


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """What the use cases depend on; built by the composition root."""

    store: Store
    holder: str
    """The name under which this process leases work: no two processes have the same."""
    clock: Clock
    ids: Ids
    rules: Rules
    providers: Mapping[str, Provider]
    metrics: Metrics
    status_calls: StatusCalls
    queue: SubmissionQueue

    async def trace_of(self, job_id: str) -> str | None:
        """The trace that the job was submitted in, for `tracing.job_span`; None if there is none or
        it cannot be read now. Nothing is read while tracing is off."""
        if not tracing.is_on():
            return None
        try:
            return await self.store.jobs.trace_context_of(job_id)
        except StoreUnavailable:
            return None  # the step handles an unavailable store itself; its trace must not fail it
