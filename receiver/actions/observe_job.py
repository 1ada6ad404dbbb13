"""The one funnel: whatever is said of a job, by whomever, becomes a change of it here."""

from dataclasses import replace

import structlog

from receiver.actions.core import Core
from receiver.domain.lifecycle import deciding
from receiver.domain.observations import CallbackSaid, Observation, SubmitAccepted
from store.errors import ProviderIdTaken
from store.records import Job, Move

log = structlog.get_logger()


async def observe_job(core: Core, job_id: str, observation: Observation) -> tuple[Job, Move | None]:
    """Apply an observation in one transaction; the job as it then stands, and what changed.

    An id that another job of the provider holds is a conflict: the observation counts without it.

    Raises:
        NotFound: the job is not kept any more.
        StoreUnavailable: nothing was written.
    """
    # Two workers, or two passes of one, may have read the same callback: it is applied once.
    applying = observation.callback_id if isinstance(observation, CallbackSaid) else None
    try:
        job, move = await core.store.jobs.advance(
            job_id, deciding(observation, core.clock.now(), core.rules), applying=applying
        )
    except ProviderIdTaken:
        log.warning("provider id is another job's", request_id=job_id)
        without = _without_id(observation)
        job, move = await core.store.jobs.advance(
            job_id, deciding(without, core.clock.now(), core.rules), applying=applying
        )
    if move is not None and move.event is not None and job.done:
        evidence = job.evidence or "none"
        core.metrics.jobs_finished.labels(job.status, evidence).inc()
        log.info(
            "job finished",
            job=job.id,
            status=job.status,
            evidence=evidence,
            code=job.error.code if job.error else None,
        )
    return job, move


def _without_id(observation: Observation) -> Observation:
    match observation:
        case CallbackSaid():
            return replace(observation, id_is_taken=True)
        case SubmitAccepted():
            return SubmitAccepted(None)
        case _:
            raise AssertionError(f"{type(observation).__name__} brings no id")
