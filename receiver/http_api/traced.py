"""Requests that begin a job's trace, or bring one along (W3C Trace Context)."""

from starlette.requests import Request
from starlette.responses import Response

from receiver import tracing
from receiver.http_api.auth import Caller
from receiver.http_api.body import ClientGone
from receiver.http_api.errors import as_problem
from receiver.http_api.parts import KeyHandler, Parts


def traced(handler: KeyHandler) -> KeyHandler:
    """The handler within a span. Behind the key, so that a stranger can open none."""

    async def within(parts: Parts, request: Request, caller: Caller) -> Response:
        if not tracing.is_on():
            return await handler(parts, request, caller)
        # Several of one name are one list to W3C; a mapping of headers shows the first alone.
        names = ("traceparent", "tracestate")
        headers = {name: request.headers.getlist(name) for name in names}
        with tracing.answering(request.method, request.scope["route_template"], headers):
            try:
                response = await handler(parts, request, caller)
            except ClientGone:
                raise  # without an answer
            except Exception as error:  # it goes on; the span only hears of it
                problem = as_problem(error)
                _tell(500 if problem is None else problem.status)
                raise
            _tell(response.status_code)
            return response

    return within


def _tell(status: int) -> None:
    tracing.tell("http.response.status_code", status)
    if status >= 500:
        tracing.failed(str(status))
