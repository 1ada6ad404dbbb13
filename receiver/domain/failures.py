"""Which failures of a job can still give way to an outcome of the provider."""

from typing import Final

from store.records.jobs import ErrorCode, Job

PROVISIONAL_FAILURES: Final = {
    ErrorCode.SUBMIT_OUTCOME_UNKNOWN: "The submission got no answer, and no callback came.",
    ErrorCode.DEADLINE_EXCEEDED: "The job did not finish before its deadline.",
    ErrorCode.RESULT_MISSING: "The provider reported completion but gave no result.",
    ErrorCode.PROVIDER_JOB_LOST: "The provider no longer knows the job.",
}
"""Failures that we declared without knowing the outcome, and their messages: the provider's own
outcome replaces each of them once."""

REFUSALS: Final = frozenset(
    {ErrorCode.NOT_SUBMITTED, ErrorCode.PROVIDER_REFUSED, ErrorCode.PROVIDER_CREDENTIALS}
)
"""Failures of jobs that the provider does not have. If it has one after all, an outcome that is
certainly its own replaces them: from a signed callback, or a callback that a status call confirms.
"""


def is_provisional(job: Job) -> bool:
    """Whether its outcome is one of `PROVISIONAL_FAILURES`."""
    return job.error is not None and job.error.code in PROVISIONAL_FAILURES


def can_be_corrected(job: Job) -> bool:
    """Whether an outcome of the provider may replace the job's, although it is finished."""
    return is_provisional(job) or (job.error is not None and job.error.code in REFUSALS)


def is_awaited(job: Job) -> bool:
    """Whether status calls could still tell the job's outcome."""
    return (
        not job.done
        or is_provisional(job)
        or (can_be_corrected(job) and bool(job.tracking.claims or job.tracking.link_missing))
    )
