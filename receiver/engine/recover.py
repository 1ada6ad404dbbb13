"""Recovers at startup from what the last process left behind."""

from collections.abc import Sequence

import structlog

from receiver.domain.observations import SubmissionLost
from receiver.engine.context import ServiceContext
from receiver.engine.observe_job import observe_job
from receiver.engine.supervisor import BATCH
from store.records.jobs import Phase

log = structlog.get_logger()


async def recover(services: ServiceContext) -> None:
    """Mark every submission that a dead process had begun as unconfirmed, end all leases, and
    release idempotency keys in use. In a restored copy, mark the unsent jobs too.

    If several processes share the store, all this may belong to another process, so only a restored
    copy is handled here. A submission becomes unconfirmed when its lease expires.
    """
    store = services.store
    if await store.is_unused_copy():
        await _recover_copy(services)
    if store.exclusive:
        reason, jobs = "the service stopped during the submission", 0
        while job_ids := await store.jobs.in_phase(Phase.SUBMITTING, BATCH):
            jobs += await _mark_unconfirmed(services, job_ids, reason)
        _report(reason, jobs)
        # All holders are dead: nothing needs to wait for a lease to end.
        await store.end_leases()


async def _recover_copy(services: ServiceContext) -> None:
    """Make the unsent jobs of a copy made by `backup` unconfirmed too: they may have been sent
    since, and nothing may be paid twice.

    Once another process has removed the copy's mark, it creates jobs that were not in the copy. So
    the mark is checked again after each read of jobs.
    """
    store = services.store
    reason, jobs = "the database is a restored copy", 0
    for phase in (Phase.SUBMITTING, Phase.QUEUED):
        while (job_ids := await store.jobs.in_phase(phase, BATCH)) and await store.is_unused_copy():
            jobs += await _mark_unconfirmed(services, job_ids, reason)
    await store.remove_copy_mark()
    _report(reason, jobs)


async def _mark_unconfirmed(services: ServiceContext, job_ids: Sequence[str], reason: str) -> int:
    for job_id in job_ids:
        await observe_job(services, job_id, SubmissionLost(reason))
    return len(job_ids)


def _report(reason: str, jobs: int) -> None:
    if jobs:
        log.warning("jobs became unconfirmed at start", reason=reason, jobs=jobs)
