"""Implements `receiver.tracing` with OpenTelemetry's SDK, an optional extra. Imported on demand."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points, version
from typing import Self

from opentelemetry.sdk.resources import (
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, format_trace_id, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.contextvars import bind_contextvars

from store.records.times import Millis

CLOSE_SECONDS = 1.0
"""Time to export the last spans at shutdown. The SDK would wait half a minute for an unresponsive
collector, but shutdown has ten seconds."""

_EXPORTERS = "opentelemetry_traces_exporter"
_NANOSECONDS_PER_MS = 1_000_000
_W3C = TraceContextTextMapPropagator()


class OpenTelemetry:
    """Creates spans and passes them to processors. The SDK's global provider, which library
    instrumentation would use, stays unset."""

    def __init__(self, processors: Iterable[SpanProcessor]) -> None:
        """Sampler, limits and resource attributes come from the `OTEL_` variables."""
        ours = {SERVICE_NAME: "receiver", SERVICE_VERSION: version("job-receiver")}
        self._provider = TracerProvider(
            # Merged last: the environment takes precedence.
            resource=Resource.create(ours).merge(OTELResourceDetector().detect()),
            shutdown_on_exit=False,
        )
        for processor in processors:
            self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("receiver", version("job-receiver"))

    @classmethod
    def exporting(cls, exporters: Sequence[str]) -> Self:
        """An instance with these exporters, given as OpenTelemetry entry points.

        Raises:
            ImportError, LookupError: one of them is not installed.
            ValueError: the environment configures one wrongly.
        """
        installed = entry_points(group=_EXPORTERS)
        for name in exporters:
            if name not in installed.names:
                raise LookupError(f"no exporter {name} is installed")
        return cls([BatchSpanProcessor(installed[name].load()()) for name in exporters])

    @contextmanager
    def span(
        self,
        name: str,
        kind: str,
        headers: Mapping[str, Sequence[str]],
        attributes: Mapping[str, str],
        began: Millis | None = None,
    ) -> Iterator[None]:
        """A child of the span in `headers`, or the root of a new trace."""
        with self._tracer.start_as_current_span(
            name,
            _W3C.extract(headers),
            SpanKind[kind.upper()],
            attributes,
            start_time=None if began is None else began * _NANOSECONDS_PER_MS,
            # An exception's message may contain a secret.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            # For the log. Each request and each step of a job has its own task, and so its own
            # context: nothing needs to be unbound, and lines logged after the span have the id too
            # (except the access log's JSON).
            bind_contextvars(trace_id=format_trace_id(span.get_span_context().trace_id))
            try:
                yield
            except Exception as error:  # re-raised; only recorded here
                if kind != "server":  # for servers the status decides: a refusal is not a failure
                    self.mark_failed(type(error).__name__)
                raise

    def set_attribute(self, name: str, value: str | int) -> None:
        get_current_span().set_attribute(name, value)

    def mark_failed(self, why: str) -> None:
        span = get_current_span()
        span.set_status(StatusCode.ERROR)
        span.set_attribute("error.type", why)

    def outgoing_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        _W3C.inject(headers)
        return headers

    def close(self) -> None:
        """Export pending spans and stop, within `CLOSE_SECONDS`."""
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(CLOSE_SECONDS)
