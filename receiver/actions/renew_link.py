"""A result's link has grown old: a status call makes a fresh one."""

from receiver.actions.core import Core
from receiver.actions.observe_job import observe_job
from receiver.domain.observations import LinkRenewed, StatusReport
from receiver.domain.schedule import LINK_LIFE
from store.records import Job, Status


async def renew_link(core: Core, job: Job) -> Job:
    """The job with a link that still opens; as it was where the link is young or no call helps."""
    if job.status is not Status.COMPLETED or job.provider_request_id is None:
        return job
    if job.result_at is None or core.clock.now() - job.result_at <= LINK_LIFE:
        return job
    answer = await core.providers[job.provider].status(job.provider_request_id)
    if isinstance(answer, StatusReport) and answer.report.result and answer.report.has_link:
        job, _ = await observe_job(core, job.id, LinkRenewed(answer.report.result))
    return job
