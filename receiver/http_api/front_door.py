"""The one ASGI application around every route: request ids, errors, counting, the access log."""

import itertools
import re
from collections.abc import Awaitable, Iterable, Iterator
from typing import Final

import structlog
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from receiver import logs
from receiver.http_api.body import ClientGone
from receiver.http_api.cors import Cors
from receiver.http_api.errors import Problem, as_problem, unexpected
from receiver.http_api.limits import check_head
from receiver.http_api.parts import Credential, Parts
from receiver.http_api.row import Row
from receiver.http_api.table import CALLBACK_PATH
from receiver.logs import HIDDEN

log = structlog.get_logger()

_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_NO_ROUTE: Final = "none"


class FrontDoor:
    """Serves the route table."""

    def __init__(self, parts: Parts, table: Iterable[Row]) -> None:
        self._parts = parts
        self._cors = Cors(parts.settings.cors_origins)
        routes = dict(_by_path(parts, table))
        self._callbacks = routes[CALLBACK_PATH]
        self._fixed = {path: endpoint for path, endpoint in routes.items() if "{" not in path}
        self._routes = [
            Route(path, endpoint, methods=None) for path, endpoint in routes.items() if "{" in path
        ]
        # A prefix of the process and a count: unique, and made at every request.
        self._ids = map(
            (parts.core.ids.new("req", parts.core.clock.now())[-12:] + "-%x").__mod__,
            itertools.count(1),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # The lifespan is the composition root's, and there are no WebSockets.
            return
        monotonic = self._parts.core.clock.monotonic
        began = monotonic()
        request_id = _given_id(scope) or next(self._ids)
        added = [(b"x-request-id", request_id.encode("ascii")), *self._cors.headers(scope)]
        status, answered = 0, began

        async def answer(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], monotonic()
                headers = message.get("headers", ())
                # A stream says `Vary` by itself.
                message["headers"] = [*headers, *(one for one in added if one not in headers)]
            await send(message)

        # Every request has a task, and so a context, of its own: nothing to take back.
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            check_head(scope)
            await self._route(scope)(scope, receive, answer)
        except ClientGone:
            status = status or 499  # as nginx counts a client that hung up; nothing is sent
        except Exception as error:
            # The last one who can answer: what is no known refusal is a fault of ours, and a 500.
            problem = as_problem(error)
            if problem is None:
                log.error("request failed", exc_info=error)
            elif problem.status >= 500:
                log.warning("request refused", code=problem.code, reason=str(error))
            if not status:
                await (problem or unexpected()).response()(scope, receive, answer)
        route = scope.get("route_template", _NO_ROUTE)
        self._parts.core.metrics.count_request(route, scope["method"], status, answered - began)
        path = scope["path"]
        logs.access(
            scope["method"],
            self._callback_path(scope) if route == CALLBACK_PATH else logs.redact(path),
            status,
            monotonic() - began,
            request_id,
        )

    def _callback_path(self, scope: Scope) -> str:
        """The path of a callback's address, without its secret."""
        provider = scope["path_params"]["provider"]
        # Whoever swaps the two puts the token there.
        known = provider in self._parts.core.providers
        return f"/webhooks/{provider if known else HIDDEN}/{HIDDEN}"

    def _route(self, scope: Scope) -> ASGIApp:
        """The endpoint of the path. A callback's is found without a search: it is the hot route."""
        if (allowed := self._cors.preflight(scope)) is not None:
            return allowed
        segments = scope["path"].split("/")
        if len(segments) == 4 and segments[1] == "webhooks" and segments[2] and segments[3]:
            scope["path_params"] = {"provider": segments[2], "token": segments[3]}
            return self._callbacks
        if (endpoint := self._fixed.get(scope["path"])) is not None:
            return endpoint
        # Starlette's Router would do the same from within two more coroutines, which a stream would
        # hold for as long as it is open.
        for route in self._routes:
            found, matched = route.matches(scope)
            if found is Match.FULL:
                scope.update(matched)
                return route.app
        raise Problem(404, "unknown_path", "There is nothing at this address.")


def _given_id(scope: Scope) -> str | None:
    """The client's own id, where it is one that a log line can hold."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return str(value.decode("ascii"))
    return None


def _by_path(parts: Parts, table: Iterable[Row]) -> Iterator[tuple[str, ASGIApp]]:
    by_path: dict[str, dict[str, ASGIApp]] = {}
    for row in table:
        methods = by_path.setdefault(row.path, {})
        methods[row.method] = row.endpoint(parts)
        if row.method == "GET" and row.credential is not Credential.STREAM:
            methods["HEAD"] = methods["GET"]
    for path, methods in by_path.items():
        yield path, _ByMethod(path, methods)


class _ByMethod:
    """The operations of one path: another method is 405, naming all of them."""

    def __init__(self, path: str, endpoints: dict[str, ASGIApp]) -> None:
        self._path = path
        self._endpoints = endpoints
        self._allow = ", ".join(sorted(endpoints))

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        scope["route_template"] = self._path
        endpoint = self._endpoints.get(scope["method"])
        if endpoint is None:
            raise Problem(
                405,
                "method_not_allowed",
                f"This address takes {self._allow}.",
                headers={"Allow": self._allow},
            )
        return endpoint(scope, receive, send)
