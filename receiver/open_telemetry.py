"""`receiver.tracing` by OpenTelemetry's SDK. Imported only where it is asked for: an extra."""

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

from store.records import Millis

CLOSE_SECONDS = 1.0
"""What the last spans get at the end. For a collector that does not answer the SDK would wait half
a minute, and a stop has ten seconds."""

_EXPORTERS = "opentelemetry_traces_exporter"
_NANOSECONDS = 1_000_000
_W3C = TraceContextTextMapPropagator()


class OpenTelemetry:
    """Makes spans and hands them to processors. It is nobody else's: the SDK's global provider,
    which instrumentation of libraries would use, stays unset."""

    def __init__(self, processors: Iterable[SpanProcessor]) -> None:
        """Sampler, limits and resource attributes are those of the `OTEL_` variables."""
        ours = {SERVICE_NAME: "receiver", SERVICE_VERSION: version("receiver")}
        self._provider = TracerProvider(
            # Merged last: what the environment says of the service wins.
            resource=Resource.create(ours).merge(OTELResourceDetector().detect()),
            shutdown_on_exit=False,
        )
        for processor in processors:
            self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("receiver", version("receiver"))

    @classmethod
    def exporting(cls, exporters: Sequence[str]) -> Self:
        """One that exports by these entry points of OpenTelemetry's exporters.

        Raises:
            ImportError, LookupError: one of them is not installed.
            ValueError: the environment sets one up wrongly.
        """
        found = []
        for name in exporters:
            match tuple(entry_points(group=_EXPORTERS, name=name)):
                case (exporter, *_):
                    found.append(exporter.load()())
                case _:
                    raise LookupError(f"no exporter {name} is installed")
        return cls(map(BatchSpanProcessor, found))

    @contextmanager
    def span(
        self,
        name: str,
        kind: str,
        headers: Mapping[str, Sequence[str]],
        told: Mapping[str, str],
        began: Millis | None = None,
    ) -> Iterator[None]:
        """A span below the one that `headers` name, or the first of a trace."""
        with self._tracer.start_as_current_span(
            name,
            _W3C.extract(headers),
            SpanKind[kind.upper()],
            told,
            start_time=None if began is None else began * _NANOSECONDS,
            # An exception's text may quote a secret.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            # For the log. Whoever makes spans has a task, and so a context, of its own for each
            # request or job: nothing to take back, and what is logged after the span has it too.
            bind_contextvars(trace_id=format_trace_id(span.get_span_context().trace_id))
            try:
                yield
            except Exception as error:  # it goes on; the span only hears of it
                if kind != "server":  # a refusal is no failure of a server: its status tells
                    self.failed(type(error).__name__)
                raise

    def tell(self, name: str, value: str | int) -> None:
        get_current_span().set_attribute(name, value)

    def failed(self, why: str) -> None:
        span = get_current_span()
        span.set_status(StatusCode.ERROR)
        span.set_attribute("error.type", why)

    def carried(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        _W3C.inject(headers)
        return headers

    def close(self) -> None:
        """Export what waits, and end; for `CLOSE_SECONDS` at most."""
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(CLOSE_SECONDS)
