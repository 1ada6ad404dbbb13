"""A user no longer wants a job."""

from receiver.actions.core import Core
from receiver.actions.observe_job import observe_job
from receiver.domain.observations import CancelRequested
from store.records import Job


class JobFinished(Exception):
    """There is nothing left to cancel; `job` is how it ended."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"the job is {job.status}")
        self.job = job


async def cancel_job(core: Core, job_id: str) -> Job:
    """Cancel the job for its user. One that was not sent yet is never sent; one that was goes on at
    the provider, which knows no cancel, and what it says of it changes nothing any more.

    Raises:
        NotFound: the job is not kept.
        JobFinished: it was final already.
        StoreUnavailable: nothing was written.
    """
    job, move = await observe_job(core, job_id, CancelRequested())
    if move is None:
        raise JobFinished(job)
    return job
