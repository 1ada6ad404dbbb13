"""The ASGI application: routing, request ids, errors, metrics and the access log."""

import asyncio
import itertools
import re
from collections import defaultdict
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, Final

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from receiver import logs
from receiver.http_api.context import ApiContext
from receiver.http_api.cors import Cors
from receiver.http_api.credentials import KEY_OR_TICKET, Row
from receiver.http_api.errors import Problem, as_problem, unexpected
from receiver.http_api.limits import check_head
from receiver.http_api.routes import CALLBACK_PATH
from receiver.logs import HIDDEN

log = structlog.get_logger()

_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_NO_ROUTE: Final = "none"


class Application:
    def __init__(self, context: ApiContext, table: Iterable[Row[Any]]) -> None:
        self._context = context
        self._cors = Cors(context.settings.cors_origins)
        by_path = _endpoints(context, table)
        self._fixed = {path: endpoint for path, endpoint in by_path.items() if "{" not in path}
        self._patterns = [
            (_pattern(path), endpoint) for path, endpoint in by_path.items() if "{" in path
        ]
        # Ids are a per-process prefix and a counter: unique and cheap.
        self._id_prefix = context.services.ids.new("req", context.services.clock.now())[-12:]
        self._count = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        monotonic = self._context.services.clock.monotonic
        began = monotonic()
        request_id = _given_id(scope) or f"{self._id_prefix}-{next(self._count):x}"
        added = [(b"x-request-id", request_id.encode("ascii")), *self._cors.headers(scope)]
        status, answered = 0, began

        async def answer(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], monotonic()
                headers = message.get("headers", ())
                # A stream sets `Vary` itself.
                message["headers"] = [*headers, *(one for one in added if one not in headers)]
            await send(message)

        # Each request has its own task, and so its own context: no need to unbind.
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            check_head(scope)
            await self._route(scope)(scope, receive, answer)
        except (ClientDisconnect, asyncio.CancelledError):
            # Only a shutdown cancels requests, and only after it has cut their connections.
            status = status or 499  # nginx's code for a client that disconnected; nothing is sent
        except Exception as error:  # noqa: BLE001 - answered; logged if it is a bug or a 5xx
            problem = _log_and_convert(error)
            if not status:
                await problem.response()(scope, receive, answer)
        self._context.services.metrics.count_request(
            scope.get("route_template", _NO_ROUTE), scope["method"], status, answered - began
        )
        path = self._path_without_secrets(scope)
        logs.access(scope["method"], path, status, monotonic() - began, request_id)

    def _path_without_secrets(self, scope: Scope) -> str:
        if scope.get("route_template") != CALLBACK_PATH:
            return logs.redact(scope["path"])
        provider = scope["path_params"]["provider"]
        # If a caller swaps the two, the token is in the place of the provider.
        known = provider in self._context.services.providers
        return f"/webhooks/{provider if known else HIDDEN}/{HIDDEN}"

    def _route(self, scope: Scope) -> ASGIApp:
        if (allowed := self._cors.preflight(scope)) is not None:
            return allowed
        if (endpoint := self._fixed.get(scope["path"])) is not None:
            return endpoint
        # Not Starlette's Router: it adds two coroutines, which an open stream would keep in memory.
        # The hot route, for callbacks, is the first.
        for pattern, endpoint in self._patterns:
            if (found := pattern.fullmatch(scope["path"])) is not None:
                scope["path_params"] = found.groupdict()
                return endpoint
        raise Problem(404, "unknown_path", "There is no such path.")


def _log_and_convert(error: Exception) -> Problem:
    """The problem response for an error. Logs a bug with its traceback, and any other 5xx as a
    warning."""
    problem = as_problem(error)
    if problem is None:
        log.error("request failed", exc_info=error)
        return unexpected()
    if problem.status >= 500:
        log.warning("request refused", code=problem.code, reason=str(error))
    return problem


def _given_id(scope: Scope) -> str | None:
    """The client's own request id, if it is safe to log."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return str(value.decode("ascii"))
    return None


def _pattern(path: str) -> re.Pattern[str]:
    """What matches a path of the table, with its parameters as named groups."""
    return re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/\\n]+)", path))


def _endpoints(context: ApiContext, table: Iterable[Row[Any]]) -> dict[str, ASGIApp]:
    by_path: defaultdict[str, dict[str, ASGIApp]] = defaultdict(dict)
    for row in table:
        methods = by_path[row.path]
        methods[row.method] = row.credential.bind(context, row.handler)
        # Not for event streams: the response to a HEAD request would not end.
        if row.method == "GET" and row.credential is not KEY_OR_TICKET:
            methods["HEAD"] = methods["GET"]
    return {path: _by_method(path, methods) for path, methods in by_path.items()}


def _by_method(path: str, endpoints: Mapping[str, ASGIApp]) -> ASGIApp:
    """The operations of one path; other methods are answered 405."""

    def endpoint(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        scope["route_template"] = path
        operation = endpoints.get(scope["method"])
        if operation is None:
            allow = ", ".join(sorted(endpoints))
            detail = f"This path allows only {allow}."
            raise Problem(405, "method_not_allowed", detail, headers={"Allow": allow})
        return operation(scope, receive, send)

    return endpoint
