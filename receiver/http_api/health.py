"""Health probes and metrics."""

from starlette.requests import Request
from starlette.responses import Response

from receiver.http_api.context import ApiContext
from receiver.http_api.errors import Problem
from receiver.http_api.responses import json_response
from receiver.telemetry.metrics import CONTENT_TYPE


async def livez(_context: ApiContext, _request: Request) -> Response:
    """Is the process alive?"""
    return json_response({"status": "ok"})


async def readyz(context: ApiContext, _request: Request) -> Response:
    """Can a callback be stored now? Checked by a write, at most once a second."""
    if context.stopping:
        raise Problem(503, "stopping", "Shutting down.", headers={"Retry-After": "5"})
    word = await context.readiness.error_code()
    if word is not None:
        raise Problem(503, word, "Callbacks cannot be stored now.", headers={"Retry-After": "2"})
    return json_response({"status": "ok"})


async def metrics(context: ApiContext, _request: Request) -> Response:
    """Metrics for Prometheus."""
    await context.backlog.refresh()
    return Response(context.services.metrics.render(), headers={"Content-Type": CONTENT_TYPE})
