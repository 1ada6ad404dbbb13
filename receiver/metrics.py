"""The service's Prometheus metrics.

Grouped by subject; all are named `receiver_…`, with seconds and bytes as units. Other modules use
the attributes directly (`metrics.providers.polls.labels("samsar", "answered").inc()`). Gauges about
stored data are set from the store by the janitor, so they are right after a restart too.
"""

from functools import partial
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

BreakerState = Literal["closed", "half_open", "open"]

_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
"""Buckets in seconds, for things that should take milliseconds."""
_WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Buckets in seconds, for things that may have to wait."""
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class _Registry(CollectorRegistry):
    """A registry, and how its metrics are created: all are named `receiver_…`."""

    def __init__(self) -> None:
        super().__init__()
        self.counter = partial(Counter, namespace="receiver", registry=self)
        self.gauge = partial(Gauge, namespace="receiver", registry=self)
        self.histogram = partial(Histogram, namespace="receiver", registry=self)


class CallbackMetrics:
    """Callbacks and their inbox."""

    def __init__(self, new: _Registry) -> None:
        self.received = new.counter(
            "callbacks", "Callbacks received.", ("provider", "verdict", "verified")
        )
        self.seconds = new.histogram(
            "callback_acknowledgement_seconds",
            "From a callback's arrival to its answer.",
            buckets=_FAST,
        )
        self.inbox_rows = new.gauge("inbox_rows", "Callbacks stored but not applied yet.")
        self.inbox_age = new.gauge(
            "inbox_oldest_age_seconds", "Age of the oldest unapplied callback."
        )


class JobMetrics:
    """Jobs and their submission."""

    def __init__(self, new: _Registry) -> None:
        self.submissions = new.counter(
            "submissions", "Submission attempts that ended.", ("provider", "outcome")
        )
        self.unconfirmed = new.gauge(
            "submissions_unconfirmed", "Jobs that the provider may or may not have."
        )
        self.stored = new.gauge("jobs", "Jobs stored.", ("phase",))
        self.oldest_age = new.gauge(
            "oldest_unfinished_job_age_seconds", "Age of the oldest unfinished job."
        )
        self.finished = new.counter(
            "jobs_finished", "Jobs finished, by the source of the outcome.", ("status", "evidence")
        )


class ProviderMetrics:
    """What providers answer."""

    def __init__(self, new: _Registry) -> None:
        self.polls = new.counter(
            "status_polls", "Status calls that ended.", ("provider", "outcome")
        )
        self.breaker = new.gauge(
            "provider_breaker", "1 for the breaker's current state.", ("provider", "state")
        )
        self.credentials_refused = new.gauge(
            "provider_credentials_refused", "1 while the provider refuses our key.", ("provider",)
        )
        self.held_until = new.gauge(
            "submissions_held_until_timestamp_seconds",
            "Until when all submissions to the provider are held; 0 if they are not.",
            ("provider",),
        )


class RelayMetrics:
    """The webhooks that we send."""

    def __init__(self, new: _Registry) -> None:
        self.attempts = new.counter("relay_attempts", "Relay attempts that ended.", ("outcome",))
        self.backlog = new.gauge("relay_backlog", "Relay messages not delivered yet.")
        self.oldest_age = new.gauge(
            "relay_oldest_age_seconds", "Age of the oldest undelivered message."
        )
        self.hosts_open = new.gauge(
            "relay_host_breakers_open", "Hosts limited to one probe a minute."
        )


class ArchiveMetrics:
    """Downloads of result files."""

    def __init__(self, new: _Registry) -> None:
        self.downloads = new.counter(
            "archive_downloads", "Download attempts that ended.", ("outcome",)
        )
        self.stored_bytes = new.counter("archive_stored_bytes", "Bytes of stored files.")
        self.backlog = new.gauge("archive_backlog", "Jobs with pending files.")
        self.oldest_age = new.gauge(
            "archive_oldest_age_seconds", "Time since the oldest of them ended."
        )


class StreamMetrics:
    """Event streams."""

    def __init__(self, new: _Registry) -> None:
        self.open = new.gauge("streams_open", "Event streams open now.")
        self.events = new.counter("stream_events", "Events written to streams.")
        self.lag = new.histogram(
            "stream_lag_seconds",
            "From an event's commit to its write to the stream.",
            buckets=_WAITS,
        )


class StoreMetrics:
    """The writer, the files, and retention."""

    def __init__(self, new: _Registry) -> None:
        self.batch_size = new.histogram("store_batch_size", "Writes per commit.", buckets=_SIZES)
        self.commit_seconds = new.histogram(
            "store_commit_seconds",
            "From the start of a batch of writes to the end of its commit.",
            buckets=_FAST,
        )
        self.queue_depth = new.gauge("store_queue_depth", "Writes waiting for the writer.")
        self.database_bytes = new.gauge("database_size_bytes", "Size of the database.")
        self.wal_bytes = new.gauge("wal_size_bytes", "Size of the write-ahead log.")
        self.retention_paused = new.gauge(
            "retention_paused", "1 while no old data is removed because the clock is not trusted."
        )


class HttpMetrics:
    """Requests to the service."""

    def __init__(self, new: _Registry) -> None:
        self.requests = new.counter(
            "http_requests", "Requests answered.", ("route", "method", "status")
        )
        self.seconds = new.histogram(
            "http_request_duration_seconds",
            "From a request to the head of its response.",
            ("route", "method"),
            buckets=_WAITS,
        )
        self.logins_refused = new.counter(
            "logins_refused", "Requests without a valid key.", ("reason",)
        )


class Metrics:
    """The metrics of one service, in their own registry."""

    def __init__(self, version: str) -> None:
        self.registry = _Registry()
        ProcessCollector(registry=self.registry)
        self.callbacks = CallbackMetrics(self.registry)
        self.jobs = JobMetrics(self.registry)
        self.providers = ProviderMetrics(self.registry)
        self.relay = RelayMetrics(self.registry)
        self.archive = ArchiveMetrics(self.registry)
        self.streams = StreamMetrics(self.registry)
        self.store = StoreMetrics(self.registry)
        self.worker_failures = self.registry.counter(
            "worker_failures", "Workers that had to be restarted.", ("worker",)
        )
        self.http = HttpMetrics(self.registry)
        Info("receiver_build", "The version.", registry=self.registry).info({"version": version})

        for phase in Phase:
            self.jobs.stored.labels(phase).set(0)
        # Looking up a labelled child costs more than incrementing it.
        self._callbacks: dict[tuple[str, str, bool], Counter] = {}
        self._requests: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def count_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request; `route` is the template, never the path."""
        # Clients can invent methods, which must not create new labels.
        method = method if method in _METHODS else "other"
        key = (route, method, status)
        if key not in self._requests:
            self._requests[key] = (
                self.http.requests.labels(route, method, str(status)),
                self.http.seconds.labels(route, method),
            )
        counted, timed = self._requests[key]
        counted.inc()
        timed.observe(seconds)

    def count_callback(self, provider: str, verdict: str, *, verified: bool = False) -> None:
        """Count an answered callback; `verified` says whether its signature was the provider's."""
        key = (provider, verdict, verified)
        if key not in self._callbacks:
            label = "true" if verified else "false"
            self._callbacks[key] = self.callbacks.received.labels(provider, verdict, label)
        self._callbacks[key].inc()

    def count_batch(self, batch: BatchReport) -> None:
        """Record a batch of writes that the store has committed."""
        self.store.batch_size.observe(batch.members)
        self.store.commit_seconds.observe(batch.seconds)
        self.store.queue_depth.set(batch.waiting)

    def set_breaker(self, provider: str, state: BreakerState) -> None:
        """Set the current state of the provider's breaker."""
        for each in get_args(BreakerState):
            self.providers.breaker.labels(provider, each).set(each == state)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format, to be sent as `CONTENT_TYPE`."""
        return generate_latest(self.registry)
