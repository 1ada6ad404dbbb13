"""What the service counts and measures, as Prometheus reads it.

A table: one line a metric, all named `receiver_…`, seconds and bytes as units. Parts count on the
attributes themselves (`metrics.polls.labels("samsar", "answered").inc()`); gauges that tell of
what is stored are set from the store by the janitor, so they are right after a restart too.
"""

from typing import Literal, Protocol

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

from store.records import Phase

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""The media type of what `Metrics.render` gives."""

BreakerState = Literal["closed", "half_open", "open"]

_BREAKER_STATES: tuple[BreakerState, ...] = ("closed", "half_open", "open")
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
"""Seconds, for what should take milliseconds."""
_WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Seconds, for what may wait for somebody."""
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Batch(Protocol):
    """What a store says of a group of writes (`store.open.open_store`, `on_batch`)."""

    @property
    def members(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def waiting(self) -> int: ...


class Metrics:
    """The metrics of one service, in a registry of its own."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        counter, gauge, histogram = self._counter, self._gauge, self._histogram

        # callbacks and their inbox
        self.callbacks = counter("callbacks", "Callbacks received.", "provider", "verdict")
        self.callback_seconds = histogram(
            "callback_acknowledgement_seconds", "From a callback's arrival to its answer.", _FAST
        )
        self.inbox_rows = gauge("inbox_rows", "Callbacks stored and not applied yet.")
        self.inbox_age = gauge("inbox_oldest_age_seconds", "Age of the oldest of them.")

        # jobs
        self.submissions = counter(
            "submissions", "Submission attempts that ended.", "provider", "outcome"
        )
        self.unconfirmed = gauge(
            "submissions_unconfirmed", "Jobs that the provider may have, without its word yet."
        )
        self.jobs = gauge("jobs", "Jobs kept.", "phase")
        self.oldest_job_age = gauge(
            "oldest_unfinished_job_age_seconds", "Age of the oldest job that is not finished."
        )
        self.jobs_finished = counter(
            "jobs_finished", "Jobs finished, by what brought the news.", "status", "evidence"
        )

        # the provider
        self.polls = counter("status_polls", "Status calls that ended.", "provider", "outcome")
        self.breaker = gauge(
            "provider_breaker", "1 at the state that the breaker is in.", "provider", "state"
        )
        self.credentials_refused = gauge(
            "provider_credentials_refused", "1 while the provider refuses our key.", "provider"
        )

        # relays
        self.relay_attempts = counter("relay_attempts", "Relay attempts that ended.", "outcome")
        self.relay_backlog = gauge("relay_backlog", "Relay messages that wait to be delivered.")
        self.relay_age = gauge("relay_oldest_age_seconds", "Age of the oldest of them.")
        self.relay_hosts_open = gauge(
            "relay_host_breakers_open", "Hosts that get one probe a minute."
        )

        # streams
        self.streams_open = gauge("streams_open", "Event streams open now.")
        self.stream_events = counter("stream_events", "Events written to streams.")
        self.stream_lag = histogram(
            "stream_lag_seconds", "From an event's commit to its being written.", _WAITS
        )

        # the store
        self.batch_size = histogram("store_batch_size", "Writes that share a commit.", _SIZES)
        self.commit_seconds = histogram(
            "store_commit_seconds",
            "From the begin of such writes to the end of their commit.",
            _FAST,
        )
        self.queue_depth = gauge("store_queue_depth", "Writes that wait for the writer.")
        self.database_bytes = gauge("database_size_bytes", "The database.")
        self.wal_bytes = gauge("wal_size_bytes", "Its write-ahead log.")

        # the process
        self.worker_failures = counter(
            "worker_failures", "Workers that had to be restarted.", "worker"
        )
        self.requests = counter("http_requests", "Requests answered.", "route", "method", "status")
        self.request_seconds = histogram(
            "http_request_duration_seconds",
            "From a request to the head of its answer.",
            _WAITS,
            "route",
            "method",
        )
        self.logins_refused = counter("logins_refused", "Requests without a good key.", "reason")
        Info("receiver_build", "What runs here.", registry=self.registry).info({"version": version})

        for phase in Phase:
            self.jobs.labels(phase).set(0)
        # Finding a labelled child costs more than counting on it.
        self._callbacks: dict[tuple[str, str], Counter] = {}
        self._requests: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def count_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request answered; `route` is the template, never the path."""
        # A client may invent methods; a label may not grow with what a client invents.
        method = method if method in _METHODS else "other"
        key = (route, method, status)
        if key not in self._requests:
            self._requests[key] = (
                self.requests.labels(route, method, str(status)),
                self.request_seconds.labels(route, method),
            )
        counted, timed = self._requests[key]
        counted.inc()
        timed.observe(seconds)

    def count_callback(self, provider: str, verdict: str) -> None:
        """One callback answered."""
        key = (provider, verdict)
        if key not in self._callbacks:
            self._callbacks[key] = self.callbacks.labels(*key)
        self._callbacks[key].inc()

    def count_batch(self, batch: Batch) -> None:
        """A group of writes that the store has committed together."""
        self.batch_size.observe(batch.members)
        self.commit_seconds.observe(batch.seconds)
        self.queue_depth.set(batch.waiting)

    def set_breaker(self, provider: str, state: BreakerState) -> None:
        """The state that the provider's breaker is in now."""
        for each in _BREAKER_STATES:
            self.breaker.labels(provider, each).set(each == state)

    def render(self) -> bytes:
        """All of them in Prometheus' text form, to be sent as `CONTENT_TYPE`."""
        return generate_latest(self.registry)

    def _counter(self, name: str, told: str, *labels: str) -> Counter:
        return Counter(f"receiver_{name}", told, labels, registry=self.registry)

    def _gauge(self, name: str, told: str, *labels: str) -> Gauge:
        return Gauge(f"receiver_{name}", told, labels, registry=self.registry)

    def _histogram(
        self, name: str, told: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(f"receiver_{name}", told, labels, buckets=buckets, registry=self.registry)
