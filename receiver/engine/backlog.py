"""Measures the jobs that are not finished."""

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Final

from receiver.engine.context import ServiceContext
from receiver.telemetry.metrics import UNFINISHED
from store.errors import StoreError
from store.records.jobs import Phase

REFRESH_SECONDS: Final = 1.0
"""How long the gauges are current enough, and how long a new measurement may take."""


class Backlog:
    """The gauges of unfinished jobs."""

    def __init__(self, services: ServiceContext) -> None:
        self._services = services
        self._refresh_at = 0.0

    async def refresh(self) -> None:
        """Measure, unless that was done within the last second; if the store does not answer, the
        gauges stay as they are."""
        now = self._services.clock.monotonic()
        if now < self._refresh_at:
            return
        self._refresh_at = now + REFRESH_SECONDS
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(REFRESH_SECONDS):
                await self.measure()

    async def measure(self) -> None:
        """Set the gauges from the store."""
        services, metrics = self._services, self._services.metrics
        phases, waiting, in_flight = Counter[str](), Counter[str](), Counter[str]()
        found = await services.store.jobs.backlog()
        for each in found:
            phases[each.phase] += each.jobs
            (waiting if each.phase is Phase.QUEUED else in_flight)[each.provider] += each.jobs
        for phase in UNFINISHED:
            metrics.jobs.labels(phase).set(phases[phase])
        for provider in services.providers:
            metrics.jobs_in_flight.labels(provider).set(in_flight[provider])
            metrics.jobs_waiting.labels(provider).set(waiting[provider])
        metrics.submissions_unconfirmed.set(phases[Phase.SUBMIT_UNCONFIRMED])
        now = services.clock.now()
        age = max((now - each.oldest for each in found), default=0)
        metrics.oldest_unfinished_job_age_seconds.set(max(0, age) / 1_000)
