"""Reads the whole of a result that is truncated in its job's row."""

import asyncio
from collections.abc import Mapping
from typing import Any

from receiver.domain.results import truncate_result
from store.database import Store
from store.records.jobs import Job


async def whole_result(store: Store, job: Job) -> Mapping[str, Any]:
    """The result of a job that has one, as the provider returned it; truncated if the whole is not
    stored."""
    assert job.result is not None
    if job.result.get("truncated") is True:
        stored: Mapping[str, Any] | None = await store.jobs.whole_result_of(job.id)
        # The stored one can be that of another claim, which was denied.
        if stored is not None and await asyncio.to_thread(truncate_result, stored) == job.result:
            return stored
    return job.result
