"""Applies an observation to a job, and counts the ends of jobs, whatever has changed them.

Three kinds of transactions change jobs, all by `JobWriter.change`: the one here, the look at a lane
(`lanes.py`), and the one that stores a callback (`accept_callback.py`).
"""

from collections.abc import Sequence
from dataclasses import replace

import structlog

from receiver.domain.answers import SubmitAccepted
from receiver.domain.lifecycle import decider
from receiver.domain.observations import Observation, SubmissionEnded
from receiver.engine.context import ServiceContext
from receiver.telemetry.metrics import Metrics
from store.changes import CommitNotice
from store.due import Changed
from store.errors import ProviderIdTaken
from store.records.costs import CostState
from store.records.jobs import Job
from store.records.transitions import Transition

log = structlog.get_logger()


async def observe_job(
    services: ServiceContext, job_id: str, observation: Observation, *, client_waits: bool = False
) -> tuple[Job, Transition | None]:
    """Apply an observation in one transaction; returns the job afterwards, and the change.

    If the provider id in it belongs to another job, the observation is applied without the id.
    `client_waits` gives the write priority.

    Raises:
        NotFound: the job has been removed.
        StoreUnavailable: nothing was written, unless it is `OutcomeUnknown`.
    """
    while True:
        try:
            job, transition = await services.store.jobs.advance(
                job_id,
                decider(observation, services.clock.now, services.rules),
                client_waits=client_waits,
            )
        except ProviderIdTaken:
            log.warning("the provider id belongs to another job", job=job_id)
            observation = _without_id(observation)
            continue
        if isinstance(observation, SubmissionEnded):
            _compare_ids(job, observation)
        return job, transition


async def observe_leased(services: ServiceContext, leased: Job, observation: Observation) -> None:
    """The same for a job that this process holds a lease of. If the observation was outdated, the
    job is due as before."""
    job, transition = await observe_job(services, leased.id, observation)
    if transition is None and job.due is not None:
        await services.store.due.release(services.holder, [leased])


def log_failures(changed: Sequence[Changed]) -> None:
    """Log the jobs that a look at a lane could not change."""
    for each in changed:
        if each.error is not None:
            log.error("a job could not be changed", job=each.job.id, exc_info=each.error)


def count_ends(metrics: Metrics, notice: CommitNotice) -> None:
    """Count and log the jobs that a commit has finished, or whose end it has corrected."""
    for transition in notice.ended:
        job, cost = transition.job, transition.cost
        if cost is not None and cost.state is not CostState.RELEASED:
            metrics.spend.labels(job.provider, cost.state).inc(float(cost.amount))
        metrics.jobs_finished.labels(job.status, job.evidence or "none").inc()
        log.info(
            "job finished",
            job=job.id,
            status=job.status,
            evidence=job.evidence or "none",
            code=job.error.code if job.error else None,
        )


def _without_id(observation: Observation) -> Observation:
    """The same acceptance without its id, which cannot be recorded."""
    assert isinstance(observation, SubmissionEnded)
    assert isinstance(observation.answer, SubmitAccepted)
    answer = SubmitAccepted(None, taken_id=observation.answer.provider_request_id)
    return replace(observation, answer=answer)


def _compare_ids(job: Job, ended: SubmissionEnded) -> None:
    """Log a warning if the job's provider id is not the one in this submission's answer."""
    match ended.answer:
        case SubmitAccepted(provider_request_id=str(given)) if given != job.provider_request_id:
            log.warning(
                "the provider gave a job two ids; it may run twice",
                job=job.id,
                attempt=ended.begun.attempt,
                given=given,
                recorded=job.provider_request_id,
            )
