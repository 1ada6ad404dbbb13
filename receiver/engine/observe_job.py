"""Applies an observation to a job. Almost every change of a job goes through here.

The exceptions: a callback is applied in the transaction that stores it (accept_callback.py), and
the archiver applies its own observations, which neither finish a job nor bring a provider id.
"""

from dataclasses import replace

import structlog

from receiver.domain.answers import SubmitAccepted
from receiver.domain.lifecycle import decider
from receiver.domain.observations import Observation, SubmissionEnded
from receiver.engine.context import ServiceContext
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
        note_end(services, transition)
        return job, transition


def note_change(services: ServiceContext, changed: Changed) -> None:
    """The same for a change by a look at a lane."""
    if changed.error is not None:
        log.error("a job could not be changed", job=changed.job.id, exc_info=changed.error)
    note_end(services, changed.transition)


def note_end(services: ServiceContext, transition: Transition | None) -> None:
    """Count and log the transition if it has finished its job, or corrected the job's end."""
    if transition is None or transition.event is None or not transition.job.done:
        return
    job = transition.job
    if (cost := transition.cost) is not None and cost.state is not CostState.RELEASED:
        services.metrics.spend.labels(job.provider, cost.state).inc(float(cost.amount))
    services.metrics.jobs_finished.labels(job.status, job.evidence or "none").inc()
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
