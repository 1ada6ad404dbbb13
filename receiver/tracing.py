"""Traces by OpenTelemetry's own instrumentation (the extra `otel`): a span for each request, and
one for each call made with httpx. No span has a path or a query, which can contain a secret."""

import os
from collections.abc import Callable
from typing import Any, TypeAlias

import httpx
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from receiver.net.transport import wrap_transports
from receiver.telemetry.logs import HIDDEN

Wrap: TypeAlias = Callable[[ASGIApp], ASGIApp]

log = structlog.get_logger()

_COLLECTOR = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_URLS = ("http.target", "http.url", "url.full", "url.path", "url.query")
_DEFAULTS = {"OTEL_SERVICE_NAME": "receiver", "OTEL_EXPORTER_OTLP_TIMEOUT": "2"}
"""Of OpenTelemetry's variables. Seconds: the last spans are exported after the service has stopped,
and OpenTelemetry would wait ten for a collector that does not answer."""


def start_tracing() -> Wrap:
    """Trace the calls of the HTTP clients that are made from now on, if the environment names a
    collector. Returns a function that adds traces of requests to an application."""
    if not any(os.environ.get(name) for name in _COLLECTOR):
        return _untraced
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    try:
        return _instrument()
    except ImportError as error:
        log.warning(
            "OTEL_ variables ask for traces, but OpenTelemetry is not installed: nothing is traced"
            " (run pip install '.[otel]' in the source folder)",
            missing=error.name,
        )
        return _untraced


def _untraced(app: ASGIApp) -> ASGIApp:
    return app


def _instrument() -> Wrap:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.instrumentation.httpx import AsyncOpenTelemetryTransport
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))

    async def hide_address(span: trace.Span, request: Any) -> None:
        origin = f"{request.url.scheme}://{request.url.netloc.decode()}"
        span.set_attributes({"http.url": origin, "url.full": origin})

    def traced_calls(transport: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        return AsyncOpenTelemetryTransport(transport, provider, request_hook=hide_address)

    def traced(app: ASGIApp) -> ASGIApp:
        async def named(scope: Scope, receive: Receive, send: Send) -> None:
            """The route is known once the application answers."""
            span = trace.get_current_span()

            async def answer(message: Message) -> None:
                if message["type"] == "http.response.start" and "route" in scope:
                    span.update_name(f"{scope['method']} {scope['route'].path}")
                    span.set_attribute("http.route", scope["route"].path)
                await send(message)

            await app(scope, receive, answer)

        return OpenTelemetryMiddleware(
            named,
            default_span_details=lambda scope: (scope["method"], dict.fromkeys(_URLS, HIDDEN)),
            tracer_provider=provider,
            exclude_spans=["receive", "send"],
        )

    wrap_transports(traced_calls)
    return traced
