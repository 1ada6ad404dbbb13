"""What a start does with what the last process left behind."""

import structlog

from receiver.actions.core import Core
from receiver.actions.observe_job import observe_job
from receiver.domain.observations import (
    Observation,
    RestoredFromBackup,
    SubmissionInterrupted,
)
from store.records import Phase

BATCH = 500

log = structlog.get_logger()


async def recover(core: Core) -> None:
    """Make of every submission that a dead process had begun what it is: unconfirmed.

    Whatever else it held is free again at once.

    Where the database is a copy that `backup` made, what it shows as unsent may have been sent
    since, and is unconfirmed too, so that a restore pays nothing twice. Where several processes
    share a store, a submission under way may be another one's, and only its lease tells.
    """
    store = core.store
    if await store.restored():
        for phase in (Phase.SUBMITTING, Phase.QUEUED):
            await _observe_all(core, phase, RestoredFromBackup())
        await store.accept_restore()
    if store.exclusive:
        stopped = SubmissionInterrupted("the service stopped during the submission")
        await _observe_all(core, Phase.SUBMITTING, stopped)
        # Whoever held something is dead: nothing waits for the end of a hold.
        await store.jobs.end_holds()
        await store.deliveries.end_holds()
        await store.idempotency.end_holds()


async def _observe_all(core: Core, phase: Phase, observation: Observation) -> None:
    while job_ids := await core.store.jobs.in_phase(phase, BATCH):
        for job_id in job_ids:
            await observe_job(core, job_id, observation)
        log.warning("recovered jobs at start", phase=phase, jobs=len(job_ids))
