"""Traces by OpenTelemetry's own instrumentation (the extra `otel`): a span for each request, and
one for each call made with httpx. No span has a path or a query, which can contain a secret."""

import os
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from receiver.logs import HIDDEN

log = structlog.get_logger()

_COLLECTOR = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_URLS = ("http.target", "http.url", "url.full", "url.path", "url.query")
_DEFAULTS = {"OTEL_SERVICE_NAME": "receiver", "OTEL_EXPORTER_OTLP_TIMEOUT": "2"}
"""Of OpenTelemetry's variables. Seconds: the last spans are exported after the service has stopped,
and OpenTelemetry would wait ten for a collector that does not answer."""


def traced(app: ASGIApp) -> ASGIApp:
    """The application, with traces of it and of its calls if the environment names a collector."""
    if not any(os.environ.get(name) for name in _COLLECTOR):
        return app
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    try:
        return _instrumented(app)
    except ImportError as error:
        log.warning(
            "OTEL_ variables ask for traces, but OpenTelemetry is not installed: nothing is traced"
            " (run pip install '.[otel]' in the source folder)",
            missing=error.name,
        )
        return app


def _instrumented(app: ASGIApp) -> ASGIApp:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    async def hide_address(span: trace.Span, request: Any) -> None:
        origin = f"{request.url.scheme}://{request.url.netloc.decode()}"
        span.set_attributes(dict.fromkeys(_URLS, origin))

    async def named(scope: Scope, receive: Receive, send: Send) -> None:
        """The route is known once the application answers."""
        span = trace.get_current_span()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and "route" in scope:
                span.update_name(f"{scope['method']} {scope['route'].path}")
                span.set_attribute("http.route", scope["route"].path)
            await send(message)

        await app(scope, receive, answer)

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    HTTPXClientInstrumentor().instrument(tracer_provider=provider, async_request_hook=hide_address)
    return OpenTelemetryMiddleware(
        named,
        default_span_details=lambda scope: (scope["method"], dict.fromkeys(_URLS, HIDDEN)),
        tracer_provider=provider,
        exclude_spans=["receive", "send"],
    )
