"""Which pages of other origins may call us (https://fetch.spec.whatwg.org/#http-cors-protocol).

The list is exact, and an origin that is not on it gets no header of ours. Credentials are not
allowed: a page of another origin brings a key or a ticket, never a cookie.
"""

from collections.abc import Collection
from typing import Final

from starlette.responses import Response
from starlette.types import Scope

Headers = list[tuple[bytes, bytes]]

_EXPOSED: Final = (
    b"ETag, Idempotency-Replayed, Location, Preference-Applied, Retry-After, X-Request-ID"
)
_VARY: Final = (b"vary", b"Origin")
_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST",
    "Access-Control-Allow-Headers": (
        "API-KEY, Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID,"
        " Prefer"
    ),
    "Access-Control-Max-Age": "600",
}


class Cors:
    """The rule for one list of origins."""

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origin.encode("ascii") for origin in origins)

    def headers(self, scope: Scope) -> Headers:
        """What any answer to this request carries for the browser. For a foreign origin only that
        others are answered otherwise, for whoever keeps the answer."""
        if not self._origins:
            return []
        for name, value in scope["headers"]:
            if name == b"origin" and value in self._origins:
                return [
                    (b"access-control-allow-origin", value),
                    (b"access-control-expose-headers", _EXPOSED),
                    _VARY,
                ]
        return [_VARY]

    def preflight(self, scope: Scope) -> Response | None:
        """The answer to a listed origin that asks what it may send; None for any other request."""
        asks = scope["method"] == "OPTIONS" and any(
            name == b"access-control-request-method" for name, _ in scope["headers"]
        )
        return (
            Response(status_code=204, headers=_PREFLIGHT)
            if asks and len(self.headers(scope)) > 1
            else None
        )
