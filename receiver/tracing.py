"""Traces each job with OpenTelemetry if that is configured; otherwise does nothing.

`request_span` and `job_span` open a span, which is its task's current span until it ends; the other
functions act on the current span. Spans contain ids, words and numbers only: never a URL, a body or
foreign text, any of which may hold a secret.

A job's trace outlives the process: its context (W3C Trace Context, from `context()`) is stored with
the job, and `job_span` continues it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Literal

import structlog

from store.records.times import Millis

if TYPE_CHECKING:
    from receiver.open_telemetry import OpenTelemetry

LONGEST_STATE = 512
"""Maximum length of a stored `tracestate`, as in W3C Trace Context, 3.3.1.5."""

Kind = Literal["client", "consumer", "server"]

log = structlog.get_logger()

_OTLP = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}
_NO_SPAN = nullcontext()
_telemetry: "OpenTelemetry | None" = None


# --- on and off -----------------------------------------------------------------------------------


def configured_exporters(environ: Mapping[str, str]) -> list[str]:
    """The exporters in the standard variables, as OpenTelemetry entry points; none means off.

    Installing the extra alone turns nothing on. (OpenTelemetry's default would send to localhost.)
    """

    def value(*names: str) -> str:
        """The first of these variables that is not blank."""
        return next(filter(None, (environ.get(name, "").strip() for name in names)), "")

    if value("OTEL_SDK_DISABLED").lower() == "true":
        return []
    endpoint = value("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    named = value("OTEL_TRACES_EXPORTER") or (endpoint and "otlp")
    protocol = (
        value("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
        or "http/protobuf"
    )
    exporters = [name.strip() for name in named.split(",")]
    return [
        _OTLP.get(protocol, f"otlp over {protocol}") if name == "otlp" else name
        for name in exporters
        if name not in ("", "none")
    ]


def exporting(environ: Mapping[str, str]) -> AbstractContextManager[None]:
    """Trace while the block runs, if the environment configures it.

    If that is not possible there is only a warning: no job depends on tracing.
    """
    exporters = configured_exporters(environ)
    if not exporters:
        return _NO_SPAN
    try:
        # Imported here: it is optional, and costs nothing if not configured.
        from receiver.open_telemetry import OpenTelemetry

        return tracing_by(OpenTelemetry.exporting(exporters))
    except ImportError as error:
        log.warning(
            "tracing is configured, but OpenTelemetry is not installed: nothing is"
            " traced (run pip install '.[otel]' in the source folder)",
            missing=error.name,
        )
    except (LookupError, ValueError) as error:
        log.warning("tracing is configured, but nothing can be exported", reason=str(error))
    return _NO_SPAN


@contextmanager
def tracing_by(telemetry: "OpenTelemetry") -> Iterator[None]:
    """Trace while the block runs; at its end the last spans are exported."""
    global _telemetry  # noqa: PLW0603 - ambient, like the current span
    _telemetry = telemetry
    try:
        yield
    finally:
        _telemetry = None
        telemetry.close()


def is_on() -> bool:
    """Whether tracing is on; if not, callers can skip preparing spans."""
    return _telemetry is not None


# --- spans ----------------------------------------------------------------------------------------


def request_span(
    method: str, route: str, headers: Mapping[str, Sequence[str]]
) -> AbstractContextManager[None]:
    """The span of a request, in the trace of its headers (lower-case names) or a new one."""
    if _telemetry is None:
        return _NO_SPAN
    attributes = {"http.request.method": method, "http.route": route}
    return _telemetry.span(f"{method} {route}", "server", headers, attributes)


def job_span(
    name: str, kind: Kind, context: str | None, job_id: str, began: Millis | None = None
) -> AbstractContextManager[None]:
    """The span of a step of a job, in the job's trace; `began` is its start if it is not now.

    A job without a context (tracing was off when it was submitted) gets no spans: each would be a
    separate trace.
    """
    if _telemetry is None or context is None:
        return _NO_SPAN
    parent, _, state = context.partition(" ")
    headers = {"traceparent": [parent], "tracestate": [state]}
    return _telemetry.span(name, kind, headers, {"receiver.job.id": job_id}, began)


# --- the current span -----------------------------------------------------------------------------


def set_attribute(name: str, value: str | int) -> None:
    if _telemetry is not None:
        _telemetry.set_attribute(name, value)


def mark_failed(why: str) -> None:
    """Mark the current span as failed; `why` is one of a few fixed words (`error.type`)."""
    if _telemetry is not None:
        _telemetry.mark_failed(why)


def outgoing_headers() -> dict[str, str]:
    """The headers that make a request part of the current trace; none without a span."""
    return {} if _telemetry is None else _telemetry.outgoing_headers()


def context() -> str | None:
    """The current context as stored with a job: `traceparent`, and `tracestate` after a space."""
    headers = outgoing_headers()
    if "traceparent" not in headers:
        return None
    state = headers.get("tracestate", "")
    return f"{headers['traceparent']} {state if len(state) <= LONGEST_STATE else ''}".rstrip()
