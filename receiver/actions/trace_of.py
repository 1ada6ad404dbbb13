"""Which trace a step of a job belongs to."""

from receiver import tracing
from receiver.actions.core import Core
from store.errors import StoreUnavailable


async def trace_of(core: Core, job_id: str) -> str | None:
    """The trace that the job was submitted in, for `tracing.step`; None where there is none, or
    none can be had just now. Nothing is read while tracing is off."""
    if not tracing.is_on():
        return None
    try:
        return await core.store.jobs.trace_context_of(job_id)
    except StoreUnavailable:
        return None  # the step has its own word on that; it does not fail for its trace
