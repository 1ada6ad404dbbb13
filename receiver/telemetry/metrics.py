"""The service's Prometheus metrics.

Our own are named `receiver_…`, with seconds and bytes as units; `process_…` comes from the client
library. Each of ours, except `receiver_build`, is an attribute with its name
(`metrics.status_polls.labels("sandbox", "answered").inc()`). Gauges about stored data are set from
the store by the janitor and the archiver, so they are right again soon after a restart.
"""

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Literal, get_args

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)

from store.records.jobs import Phase
from store.writer import BatchReport

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""The media type of `Metrics.render`."""

UNFINISHED = tuple(phase for phase in Phase if phase is not Phase.FINISHED)
"""The phases of jobs that are counted: finished ones are too many to count."""

BreakerState = Literal["closed", "half_open", "open"]

_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
"""Buckets in seconds, for things that should take milliseconds."""
_WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Buckets in seconds, for things that may have to wait."""
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The metrics of one service, in their own registry."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        Info("receiver_build", "The version.", registry=self.registry).info({"version": version})
        counter = partial(Counter, namespace="receiver", registry=self.registry)
        gauge = partial(Gauge, namespace="receiver", registry=self.registry)
        histogram = partial(Histogram, namespace="receiver", registry=self.registry)

        # Callbacks.
        self.callbacks = counter(
            "callbacks", "Callbacks received.", ("provider", "verdict", "verified")
        )
        self.callback_acknowledgement_seconds = histogram(
            "callback_acknowledgement_seconds",
            "From a callback's arrival to its answer.",
            buckets=_FAST,
        )

        # Jobs and their submission.
        self.submissions = counter(
            "submissions", "Submission attempts that ended.", ("provider", "outcome")
        )
        self.submissions_unconfirmed = gauge(
            "submissions_unconfirmed", "Jobs that the provider may or may not have."
        )
        self.jobs = gauge("jobs", "Unfinished jobs by phase.", ("phase",))
        for phase in UNFINISHED:
            self.jobs.labels(phase).set(0)
        self.jobs_in_flight = gauge(
            "jobs_in_flight", "Jobs that take a place at the provider.", ("provider",)
        )
        self.jobs_waiting = gauge("jobs_waiting", "Queued jobs.", ("provider",))
        self.oldest_unfinished_job_age_seconds = gauge(
            "oldest_unfinished_job_age_seconds", "Age of the oldest unfinished job."
        )
        self.jobs_finished = counter(
            "jobs_finished", "Jobs finished, by the source of the outcome.", ("status", "evidence")
        )

        self.spend = counter("spend", "What jobs cost, as it becomes known.", ("provider", "state"))

        # What providers answer.
        self.status_polls = counter(
            "status_polls", "Status calls that ended.", ("provider", "outcome")
        )
        self.status_calls_limited = gauge(
            "status_calls_limited",
            "1 while status calls that are due wait for seconds because of the setting.",
            ("setting",),
        )
        self.provider_breaker = gauge(
            "provider_breaker",
            "1 for the breaker's state after the last call.",
            ("provider", "state"),
        )
        self.provider_credentials_refused = gauge(
            "provider_credentials_refused",
            "1 from a call that refuses our key to one that accepts it.",
            ("provider",),
        )
        self.submissions_paused = gauge(
            "submissions_paused", "1 while all submissions to the provider pause.", ("provider",)
        )

        # The webhooks that we send.
        self.relay_attempts = counter("relay_attempts", "Relay attempts that ended.", ("outcome",))
        self.relay_backlog = gauge("relay_backlog", "Relay messages not delivered yet.")
        self.relay_oldest_age_seconds = gauge(
            "relay_oldest_age_seconds", "Age of the oldest undelivered message."
        )
        self.relay_host_breakers_open = gauge(
            "relay_host_breakers_open", "Hosts limited to one probe a minute."
        )

        # Downloads of result files.
        self.archive_downloads = counter(
            "archive_downloads", "Download attempts that ended.", ("outcome",)
        )
        self.archive_stored_bytes = counter("archive_stored_bytes", "Bytes of stored files.")
        self.archive_backlog = gauge("archive_backlog", "Jobs with pending files.")
        self.archive_oldest_age_seconds = gauge(
            "archive_oldest_age_seconds", "Time since the oldest of them ended."
        )

        # Event streams.
        self.streams_open = gauge("streams_open", "Event streams open now.")
        self.stream_events = counter("stream_events", "Events written to streams.")
        self.stream_lag_seconds = histogram(
            "stream_lag_seconds",
            "From an event's commit to its write to the stream.",
            buckets=_WAITS,
        )

        # The writer, the files, and retention.
        self.store_batch_size = histogram("store_batch_size", "Writes per commit.", buckets=_SIZES)
        self.store_commit_seconds = histogram(
            "store_commit_seconds",
            "From the start of a batch of writes to the end of its commit.",
            buckets=_FAST,
        )
        self.store_queue_depth = gauge("store_queue_depth", "Writes waiting for the writer.")
        self.database_size_bytes = gauge("database_size_bytes", "Size of the database.")
        self.wal_size_bytes = gauge("wal_size_bytes", "Size of the write-ahead log.")
        self.disk_free_bytes = gauge(
            "disk_free_bytes", "Free space of SQLite's disk; infinite with PostgreSQL."
        )
        self.disk_free_bytes.set(math.inf)
        self.retention_paused = gauge(
            "retention_paused", "1 while no old data is removed because the clock is not trusted."
        )

        # Workers, and requests to the service.
        self.worker_failures = counter(
            "worker_failures", "Workers that had to be restarted.", ("worker",)
        )
        self.http_requests = counter(
            "http_requests", "Requests answered.", ("route", "method", "status")
        )
        self.http_request_duration_seconds = histogram(
            "http_request_duration_seconds",
            "From a request to the head of its response.",
            ("route", "method"),
            buckets=_WAITS,
        )
        self.logins_refused = counter(
            "logins_refused", "Requests without a valid key.", ("reason",)
        )

        # Looking up a labelled child costs more than incrementing it.
        self._callbacks = cache(self.callbacks.labels)
        self._requests = cache(self.http_requests.labels)
        self._request_durations = cache(self.http_request_duration_seconds.labels)

    def count_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request; `route` is the template, never the path."""
        # Clients can invent methods, which must not create new labels.
        method = method if method in _METHODS else "other"
        self._requests(route, method, status).inc()
        self._request_durations(route, method).observe(seconds)

    def count_callback(self, provider: str, verdict: str, *, verified: bool = False) -> None:
        """Count an answered callback; `verified` says whether its signature was the provider's."""
        self._callbacks(provider, verdict, "true" if verified else "false").inc()

    def count_batch(self, batch: BatchReport) -> None:
        self.store_batch_size.observe(batch.members)
        self.store_commit_seconds.observe(batch.seconds)
        self.store_queue_depth.set(batch.waiting)

    def watch_breaker(self, provider: str, state: Callable[[], BreakerState]) -> None:
        """Show what `state` returns at the time of reading."""
        for each in get_args(BreakerState):
            gauge = self.provider_breaker.labels(provider, each)
            gauge.set_function(partial(_is, state, each))

    def render(self) -> bytes:
        """All metrics in Prometheus' text format, to be sent as `CONTENT_TYPE`."""
        return generate_latest(self.registry)


def _is(state: Callable[[], BreakerState], wanted: BreakerState) -> float:
    return float(state() == wanted)
