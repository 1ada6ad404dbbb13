"""Applies a job's stored callbacks as one change."""

from collections.abc import Collection, Sequence

import structlog

from receiver.domain.lifecycle import decide
from receiver.domain.observations import CallbackBatch, ParsedCallback
from receiver.engine.accept_callback import read_object
from receiver.engine.context import ServiceContext
from receiver.engine.observe_job import note_end
from store.callbacks import Applied
from store.errors import ProviderIdTaken
from store.records.callbacks import Callback
from store.records.jobs import Job
from store.records.moves import Move
from store.records.times import Lease

log = structlog.get_logger()


async def apply_callbacks(
    services: ServiceContext, job_id: str, most: int, lease: Lease, *, final: bool
) -> Applied:
    """Apply at most `most` of the job's waiting callbacks, oldest first, in one transaction.

    `final` says that one of them is known to report an outcome; outcomes are written before
    progress. `lease` is written if the job is then due for confirmation. A callback whose provider
    id belongs to another job is a conflict: it is recorded, but not applied.

    Raises:
        NotFound: the job has been removed.
        NotApplied: applying them failed, but not because of the store; they are still waiting.
        StoreUnavailable: nothing was written, unless it is `OutcomeUnknown`.
    """
    taken: set[str | None] = set()

    def decide_together(job: Job, callbacks: Sequence[Callback]) -> Move | None:
        batch = CallbackBatch(tuple(_read(services, callback, taken) for callback in callbacks))
        return decide(job, batch, services.clock.now(), services.rules)

    while True:
        try:
            applied = await services.store.callbacks.apply(
                job_id, decide_together, most=most, final=final, lease=lease
            )
        except ProviderIdTaken as conflict:
            log.warning("the provider id belongs to another job", job=job_id)
            taken.add(conflict.provider_request_id)
            continue
        note_end(services, applied.job, applied.move)
        return applied


def _read(
    services: ServiceContext, callback: Callback, taken: Collection[str | None]
) -> ParsedCallback:
    report = services.providers[callback.provider].read(read_object(callback.body) or {})
    is_taken = report.provider_request_id in taken
    return ParsedCallback(callback.id, callback.received_at, report, is_taken, callback.verified)
