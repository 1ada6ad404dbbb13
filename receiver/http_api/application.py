"""The ASGI application: the routes, and around them error responses, CORS, and what each request
leaves behind: its id, its metrics and its line in the access log."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from receiver.http_api.context import ApiContext
from receiver.http_api.cors import Cors
from receiver.http_api.credentials import ANY, KEY_OR_TICKET, Operation
from receiver.http_api.errors import Problem, as_problem, unexpected
from receiver.http_api.routes import CALLBACK_PATH
from receiver.telemetry.logs import HIDDEN

log = structlog.get_logger()


def application(context: ApiContext, table: Iterable[Operation[Any]]) -> ASGIApp:
    """The application with the routes of the table."""
    by_path: defaultdict[str, dict[str, ASGIApp]] = defaultdict(dict)
    problem_types: dict[str, str] = {}
    for row in table:
        methods = by_path[row.path]
        methods[row.method] = row.credential(context, row.handler)
        problem_types[row.path] = row.problem_type
        # Not for event streams: the response to a HEAD request would not end.
        if row.method == "GET" and row.credential is not KEY_OR_TICKET:
            methods["HEAD"] = methods["GET"]
    routes = [Route(path, _Methods(methods)) for path, methods in by_path.items()]
    router = Router(routes, redirect_slashes=False, default=_unknown_path)

    refuse = partial(_error_response, problem_types)
    answering = ExceptionMiddleware(router, handlers={Exception: refuse})
    return RequestLog(Cors(answering, context.settings.cors_origins), context)


@dataclass(frozen=True, slots=True)
class _Methods:
    """The operations of one path. (A Starlette route for each would name only its own method in
    `Allow`.)"""

    endpoints: Mapping[str, ASGIApp]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith("\n"):  # which the router's patterns overlook, by their `$`
            await _unknown_path(scope, receive, send)
        endpoint = self.endpoints.get(scope["method"]) or self.endpoints.get(ANY)
        if endpoint is None:
            allow = ", ".join(sorted(self.endpoints))
            detail = f"This path allows only {allow}."
            raise Problem(405, "method_not_allowed", detail, headers={"Allow": allow})
        await endpoint(scope, receive, send)


async def _unknown_path(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise Problem(404, "unknown_path", "There is no such path.")


async def _error_response(
    problem_types: Mapping[str, str], request: Request, error: Exception
) -> Response:
    """The response for an error, with the media type that its path has for problems. Logs a bug
    with its traceback, and any other 5xx as a warning."""
    response = _logged_response(error)
    if "route" in request.scope:
        response.headers["content-type"] = problem_types[request.scope["route"].path]
    return response


def _logged_response(error: Exception) -> Response:
    if isinstance(error, ClientDisconnect):
        return Response(status_code=499)  # nginx's code, for the metrics: nobody receives it
    problem = as_problem(error)
    if problem is None:
        log.error("request failed", exc_info=error)
        return unexpected().response()
    if problem.status >= 500:
        log.warning("request refused", code=problem.code, reason=str(error))
    return problem.response()


class RequestLog:
    """ASGI middleware: gives each request an id, counts it and logs it."""

    def __init__(self, app: ASGIApp, context: ApiContext) -> None:
        self._app = app
        self._services = context.services
        self._log_access = context.settings.log_access
        # Ids are a per-process prefix and a counter: unique and cheap.
        self._id_prefix = context.services.ids.new("req", context.services.clock.now())[-12:]
        self._count = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        monotonic = self._services.clock.monotonic
        began = monotonic()
        request_id = f"{self._id_prefix}-{next(self._count):x}"
        status, answered = 0, began

        async def answer(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], monotonic()
                id_header = (b"x-request-id", request_id.encode("ascii"))
                message["headers"] = [*message.get("headers", ()), id_header]
            await send(message)

        # Each request has its own task, and so its own context: no need to unbind.
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, answer)
        except asyncio.CancelledError:
            # Only a shutdown cancels requests, and only after it has cut their connections.
            status = status or 499
        except Exception as error:
            log.error("request failed", exc_info=error)
        route = scope["route"].path if "route" in scope else "none"
        self._services.metrics.count_request(route, scope["method"], status, answered - began)
        if self._log_access:
            path, ms = self._path_without_token(scope, route), (monotonic() - began) * 1_000
            log.info("request", method=scope["method"], path=path, status=status, ms=round(ms, 1))

    def _path_without_token(self, scope: Scope, route: str) -> str:
        path: str = scope["path"]
        if route != CALLBACK_PATH:
            return path  # anything that looks like a secret is redacted in each line
        provider = scope["path_params"]["provider"]
        # If a caller swaps the two, the token is in the place of the provider.
        known = provider in self._services.providers
        return f"/webhooks/{provider if known else HIDDEN}/{HIDDEN}"
