"""Cancels a job for its user."""

from receiver.domain import documents
from receiver.domain.observations import CancelRequested
from receiver.domain.serialization import job_document
from receiver.engine.context import ServiceContext
from receiver.engine.observe_job import observe_job
from store.records.jobs import Job


class JobFinished(Exception):
    """The job is already finished; `job` is its final state, `document` the one for users."""

    def __init__(self, job: Job, document: documents.Job) -> None:
        super().__init__(f"the job is {job.status}")
        self.job = job
        self.document = document


async def cancel_job(services: ServiceContext, job_id: str) -> Job:
    """Cancel the job for its user. An unsent job is never sent. For a sent one, the poller asks the
    provider to cancel it, if that is supported, once its id is known; the provider's reports no
    longer change the job.

    Raises:
        NotFound: there is no such job.
        JobFinished: it was already finished.
        StoreUnavailable: nothing was written, unless it is `OutcomeUnknown`.
    """
    can_cancel = (name for name, each in services.providers.items() if each.can_cancel)
    requested = CancelRequested(frozenset(can_cancel))
    job, transition = await observe_job(services, job_id, requested, client_waits=True)
    if transition is None:
        raise JobFinished(job, job_document(job, services.rules.root))
    return job
