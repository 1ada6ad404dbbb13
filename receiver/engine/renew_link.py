"""Renews an old result link by a status call."""

import asyncio
from typing import Final
from weakref import WeakValueDictionary

import structlog

from receiver.domain.answers import StatusReport
from receiver.domain.observations import LinkRenewed
from receiver.domain.results import links_of
from receiver.domain.schedule import DAY
from receiver.engine.context import ServiceContext
from receiver.engine.observe_job import observe_job
from receiver.upstream.contract import upstream_job
from store.errors import StoreUnavailable
from store.records.jobs import Job, Status

LINK_MAX_AGE: Final = 6 * DAY
"""The longest that providers are known to keep a link is seven days."""
RENEWAL_SECONDS: Final = 10.0
"""How long a client waits for a renewed link, before it gets the old one."""

log = structlog.get_logger()


class LinkRenewals:
    """Renews links, with one call at a time per user, so that no user's renewals take all of the
    calls that clients may have."""

    def __init__(self, services: ServiceContext) -> None:
        self._services = services
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        """By user."""

    async def renew(self, job: Job) -> Job:
        """The job, with a renewed link if its link is older than `LINK_MAX_AGE`.

        Unchanged if the link is newer or cannot be renewed: its provider is no longer configured,
        no status call is allowed now or answered within `RENEWAL_SECONDS`, the answer has no link,
        or the store fails.

        Raises:
            NotFound: the job was removed meanwhile.
        """
        if job.status is not Status.COMPLETED or not self._is_old(job):
            return job
        try:
            async with (
                asyncio.timeout(RENEWAL_SECONDS),
                self._locks.setdefault(job.user_id, asyncio.Lock()),
            ):
                # Another request may have renewed it since `job` was read.
                job = await self._services.store.jobs.find(job.id) or job
                return await self._renewed(job) if self._is_old(job) else job
        except TimeoutError:
            return job
        except StoreUnavailable as error:
            log.warning("a link cannot be renewed now", job=job.id, reason=str(error))
            return job

    def _is_old(self, job: Job) -> bool:
        return (
            job.result_at is not None and self._services.clock.now() - job.result_at > LINK_MAX_AGE
        )

    async def _renewed(self, job: Job) -> Job:
        provider = self._services.providers.get(job.provider)
        upstream = upstream_job(job)
        if provider is None or upstream is None:
            return job
        answer = await self._services.status_calls.ask_now(provider, upstream)
        result = answer.report.result if isinstance(answer, StatusReport) else None
        if result is None:
            return job
        # In a thread, since the result can have megabytes.
        links = await asyncio.to_thread(links_of, result)
        if links:
            job, _ = await observe_job(self._services, job.id, LinkRenewed(result))
        return job
