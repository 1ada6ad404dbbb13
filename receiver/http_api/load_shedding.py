"""Refuses load beyond capacity, before any work is done for it."""

import asyncio
import re
from collections.abc import Awaitable
from secrets import token_hex
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from receiver.http_api.context import ApiContext
from receiver.http_api.errors import Problem

MAX_AT_ONCE: Final = 250
"""Requests that start in one iteration of the event loop: a twentieth of a second of work. Requests
under way do not count, since most of them may be waiting for something else."""
REFUSED: Final = "refused"
"""The route label of refused requests in the metrics."""

_NEVER_REFUSED: Final = re.compile(r"/(?:livez|readyz|metrics|v1/events|v1/jobs/[^/]+/events)")
"""The probes, the metrics and the two streams: a failing probe restarts the service, and an
EventSource does not reconnect after a 503."""
_RESPONSE: Final = Problem(
    503,
    "overloaded",
    "The service is overloaded. Nothing was done; please retry.",
    headers={"Retry-After": "2"},
).response()


class LoadShedder:
    """An ASGI application before another. It refuses what comes while too many requests start, and
    what writes while the store's queue is full."""

    def __init__(self, app: ASGIApp, context: ApiContext) -> None:
        self._app = app
        self._context = context
        self._started = 0
        """Requests started in this iteration."""

    # Not a coroutine: an open stream would keep it in memory.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self._is_overloaded(scope["method"]) and not _NEVER_REFUSED.fullmatch(scope["path"]):
            return self._refuse(scope, send)
        if not self._started:
            asyncio.get_running_loop().call_soon(self._next_iteration)
        self._started += 1
        return self._app(scope, receive, send)

    def _is_overloaded(self, method: str) -> bool:
        writes = method == "POST"
        return self._started >= MAX_AT_ONCE or (writes and self._context.services.store.busy)

    def _next_iteration(self) -> None:
        self._started = 0

    async def _refuse(self, scope: Scope, send: Send) -> None:
        self._context.services.metrics.count_request(REFUSED, scope["method"], 503, 0.0)
        headers = [*_RESPONSE.raw_headers, (b"x-request-id", token_hex(8).encode())]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": _RESPONSE.body})
