"""CORS: which other origins may call us (https://fetch.spec.whatwg.org/#http-cors-protocol).

The list is exact, and other origins get no CORS headers. Credentials are not allowed: pages of
other origins use a key or a ticket, never a cookie.
"""

from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

_EXPOSED: Final = (
    b"ETag, Idempotency-Replayed, Location, Preference-Applied, Retry-After, X-Request-ID"
)
_VARY: Final = (b"vary", b"Origin")
_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "DELETE, GET, HEAD, POST",
    "Access-Control-Allow-Headers": (
        "API-KEY, Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID,"
        " Prefer"
    ),
    "Access-Control-Max-Age": "600",
}


class Cors:
    """CORS for a list of allowed origins."""

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origins)

    def headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """The CORS headers for any response to this request. Other origins get only `Vary`, for
        caches."""
        if not self._origins:
            return []
        origin = Headers(scope=scope).get("origin")
        if origin not in self._origins:
            return [_VARY]
        return [
            (b"access-control-allow-origin", origin.encode("ascii")),
            (b"access-control-expose-headers", _EXPOSED),
            _VARY,
        ]

    def preflight(self, scope: Scope) -> Response | None:
        """The response to a preflight request of an allowed origin; None for other requests."""
        if scope["method"] != "OPTIONS":
            return None
        headers = Headers(scope=scope)
        asks = "access-control-request-method" in headers
        allowed = headers.get("origin") in self._origins
        return Response(status_code=204, headers=_PREFLIGHT) if asks and allowed else None
