"""One trace for each job, where OpenTelemetry is asked for; where it is not, nothing happens here.

`answering` and `step` open a span, which is the current one of its task until it ends, and the rest
speaks of that. What a span is told are ids, words and numbers: never an address, a body or a text
of somebody else's, any of which may hold a secret.

The trace of a job outlives the process: its context (W3C Trace Context) is kept with the job as
`context()` gives it, and `step` takes it up again.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Literal

import structlog

from store.records import Millis

if TYPE_CHECKING:
    from receiver.open_telemetry import OpenTelemetry

LONGEST_STATE = 512
"""Characters of a `tracestate` that are kept: what W3C Trace Context (3.3.1.5) asks for."""

Kind = Literal["client", "consumer", "server"]

log = structlog.get_logger()

_OTLP = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}
_NOTHING = nullcontext()
_telemetry: "OpenTelemetry | None" = None


# --- on and off -----------------------------------------------------------------------------------


def asked_for(environ: Mapping[str, str]) -> list[str]:
    """The exporters that the standard variables name, as OpenTelemetry's entry points; none: off.

    The extra alone turns nothing on, unlike OpenTelemetry's own default, which sends to localhost.
    """

    def value(name: str) -> str:
        return environ.get(name, "").strip()

    if value("OTEL_SDK_DISABLED").lower() == "true":
        return []
    named = value("OTEL_TRACES_EXPORTER")
    if not named and (
        value("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or value("OTEL_EXPORTER_OTLP_ENDPOINT")
    ):
        named = "otlp"
    protocol = (
        value("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        or value("OTEL_EXPORTER_OTLP_PROTOCOL")
        or "http/protobuf"
    )
    exporters = [name.strip() for name in named.split(",")]
    return [
        _OTLP.get(protocol, f"otlp over {protocol}") if name == "otlp" else name
        for name in exporters
        if name not in ("", "none")
    ]


@contextmanager
def exporting(environ: Mapping[str, str]) -> Iterator[None]:
    """Trace while the block runs, where the environment asks for it.

    What is asked for and cannot be had is warned about: no job waits for its trace.
    """
    exporters = asked_for(environ)
    if not exporters:
        yield
        return
    try:
        # Imported here: it is an extra, and costs nothing where nobody asks for it.
        from receiver.open_telemetry import OpenTelemetry

        telemetry = OpenTelemetry.exporting(exporters)
    except ImportError as error:
        log.warning(
            "the environment asks for traces, and OpenTelemetry is not installed: nothing is"
            " traced (pip install 'receiver[otel]')",
            missing=error.name,
        )
        yield
    except (LookupError, ValueError) as error:
        log.warning("the environment asks for traces that cannot be exported", reason=str(error))
        yield
    else:
        with tracing_by(telemetry):
            yield


@contextmanager
def tracing_by(telemetry: "OpenTelemetry") -> Iterator[None]:
    """Trace while the block runs; what is not exported by its end gets a moment for that."""
    global _telemetry  # noqa: PLW0603 - the current span is ambient, and so is who records it
    _telemetry = telemetry
    try:
        yield
    finally:
        _telemetry = None
        telemetry.close()


def is_on() -> bool:
    """Whether spans are made: what it takes to make one need not be done otherwise."""
    return _telemetry is not None


# --- spans ----------------------------------------------------------------------------------------


def answering(
    method: str, route: str, headers: Mapping[str, Sequence[str]]
) -> AbstractContextManager[None]:
    """The span of a request, in the trace that its headers name (lower case), or in a new one."""
    if _telemetry is None:
        return _NOTHING
    told = {"http.request.method": method, "http.route": route}
    return _telemetry.span(f"{method} {route}", "server", headers, told)


def step(
    name: str, kind: Kind, context: str | None, job_id: str, began: Millis | None = None
) -> AbstractContextManager[None]:
    """The span of a step of a job, in the job's trace; `began` where that was before now.

    A job without a context (tracing was off when it came) has no spans: each would be a trace of
    its own.
    """
    if _telemetry is None or context is None:
        return _NOTHING
    parent, _, state = context.partition(" ")
    headers = {"traceparent": [parent], "tracestate": [state]}
    return _telemetry.span(name, kind, headers, {"receiver.job.id": job_id}, began)


# --- of the current span --------------------------------------------------------------------------


def tell(name: str, value: str | int) -> None:
    """Give it an attribute."""
    if _telemetry is not None:
        _telemetry.tell(name, value)


def failed(why: str) -> None:
    """Mark it as failed; `why` is one of few words (`error.type`)."""
    if _telemetry is not None:
        _telemetry.failed(why)


def carried() -> dict[str, str]:
    """The headers by which a request joins its trace; none where there is no span."""
    return {} if _telemetry is None else _telemetry.carried()


def context() -> str | None:
    """Its context as it is kept with a job: `traceparent`, and `tracestate` after a space."""
    headers = carried()
    if "traceparent" not in headers:
        return None
    state = headers.get("tracestate", "")
    return f"{headers['traceparent']} {state if len(state) <= LONGEST_STATE else ''}".rstrip()
