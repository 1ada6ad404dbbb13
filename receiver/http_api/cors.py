"""CORS: which other origins may call us. The list is exact. Credentials are not allowed: pages of
other origins use a key or a ticket, never a cookie."""

from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_EXPOSED: Final = (
    "ETag, Idempotency-Replayed, Location, Preference-Applied, Retry-After, X-Request-ID"
)


class Cors(CORSMiddleware):
    """Starlette's middleware, which would give other origins some CORS headers too."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=("DELETE", "GET", "HEAD", "POST"),
            allow_headers=(
                *("API-KEY", "Authorization", "Content-Type", "Idempotency-Key"),
                *("If-None-Match", "Last-Event-ID", "Prefer"),
            ),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        listed = Headers(scope=scope).get("origin") in self.allow_origins
        app = super().__call__ if listed or scope["method"] != "OPTIONS" else self.app
        await app(scope, receive, send)

    @staticmethod
    def allow_explicit_origin(headers: MutableHeaders, origin: str) -> None:
        CORSMiddleware.allow_explicit_origin(headers, origin)
        headers["Access-Control-Expose-Headers"] = _EXPOSED
