"""Recovers at startup from what the last process left behind."""

import structlog

from receiver.actions.context import ServiceContext
from receiver.actions.observe_job import observe_job
from receiver.domain.observations import SubmissionLost
from store.records.jobs import Phase

RECOVERED_AT_ONCE = 500

log = structlog.get_logger()


async def recover(services: ServiceContext) -> None:
    """Mark every submission that a dead process had begun as unconfirmed, and end its leases.

    If the database is a copy made by `backup`, unsent jobs may have been sent since. They become
    unconfirmed too, so that nothing is paid twice. If several processes share the store, a
    submission under way may belong to another process, so only the end of its lease counts.
    """
    store = services.store
    if await store.restored():
        for phase in (Phase.SUBMITTING, Phase.QUEUED):
            await _lose_all(services, phase, "the database is a restored copy")
        await store.accept_restore()
    if store.exclusive:
        stopped = "the service stopped during the submission"
        await _lose_all(services, Phase.SUBMITTING, stopped)
        # All holders are dead: nothing needs to wait for a lease to end.
        await store.jobs.end_leases()
        await store.deliveries.end_leases()
        await store.idempotency.release_all()


async def _lose_all(services: ServiceContext, phase: Phase, reason: str) -> None:
    while job_ids := await services.store.jobs.in_phase(phase, RECOVERED_AT_ONCE):
        for job_id in job_ids:
            await observe_job(services, job_id, SubmissionLost(reason))
        log.warning("recovered jobs at start", phase=phase, jobs=len(job_ids))
