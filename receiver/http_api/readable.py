"""Which job a caller may read."""

from receiver.http_api.auth import Caller
from receiver.http_api.errors import not_found
from receiver.http_api.parts import Parts
from store.records import Job


async def readable_job(parts: Parts, caller: Caller, job_id: str) -> Job:
    """The caller's own job, or any for an admin. Raises Problem 404."""
    jobs = parts.core.store.jobs
    job = await (jobs.find(job_id) if caller.admin else jobs.find_for_user(caller.user_id, job_id))
    if job is None:
        raise not_found()
    return job
