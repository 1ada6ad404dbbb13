"""Tracing of requests that submit jobs (W3C Trace Context)."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from receiver import tracing
from receiver.http_api.auth import Caller
from receiver.http_api.body import ClientGone
from receiver.http_api.context import ApiContext
from receiver.http_api.errors import as_problem
from receiver.tracing import LONGEST_STATE

_Handler: TypeAlias = Callable[[ApiContext, Request, Caller], Awaitable[Response]]


def traced(handler: _Handler) -> _Handler:
    """Run the handler in a span. After authentication, so that only users can create spans."""

    @wraps(handler)
    async def within(context: ApiContext, request: Request, caller: Caller) -> Response:
        if not tracing.is_on():
            return await handler(context, request, caller)
        # W3C allows repeated headers, of which a mapping would have only the first. Headers longer
        # than what is kept are ignored.
        headers = {
            name: [text for text in request.headers.getlist(name) if len(text) <= LONGEST_STATE]
            for name in ("traceparent", "tracestate")
        }
        with tracing.answering(request.method, request.scope["route_template"], headers):
            try:
                response = await handler(context, request, caller)
            except ClientGone:
                raise
            except Exception as error:  # recorded in the span, and raised again
                problem = as_problem(error)
                _tell(500 if problem is None else problem.status)
                raise
            _tell(response.status_code)
            return response

    return within


def _tell(status: int) -> None:
    tracing.set_attribute("http.response.status_code", status)
    if status >= 500:
        tracing.failed(str(status))
