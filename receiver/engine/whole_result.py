"""Reads the whole of a result that is truncated in its job's row."""

from collections.abc import Mapping
from typing import Any

from store.database import Store
from store.records.jobs import Job


async def whole_result(store: Store, job: Job) -> Mapping[str, Any]:
    """The result of a job that has one, as the provider returned it; truncated if the whole is not
    stored."""
    assert job.result is not None
    if job.result.get("truncated") is not True:
        return job.result
    stored: Mapping[str, Any] | None = await store.jobs.whole_result_of(job.id)
    return job.result if stored is None else stored
