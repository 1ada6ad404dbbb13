"""Serves the static files of the dashboard and of `/docs`, with strict security headers.

The pages have no data of their own; everything that they show comes from the public API.
"""

from collections.abc import Awaitable, Callable, Container, Mapping
from hashlib import sha256
from importlib.resources import files
from ipaddress import ip_address
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from receiver.server.problem import problem

_MEDIA_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_PAGES: Final = {"index.html": "/", "docs.html": "/docs"}
"""The paths of the files that are not below `/static/`."""
_MISDIRECTED: Final = JSONResponse(
    problem(
        421,
        "misdirected_request",
        "This page is not served under this host name. Set RECEIVER_PUBLIC_URL to the URL at"
        " which people open it.",
    ),
    status_code=421,
    media_type="application/problem+json",
)

Page: TypeAlias = Callable[[object, Request], Awaitable[Response]]


def pages(public_url: str, host: str, *, results_nearby: bool) -> Mapping[str, Page]:
    """A handler for each path: `/`, `/docs`, and each file below `/static/`.

    They accept the host names in `public_url` and `host`, loopback names and IP addresses.
    `results_nearby` allows results from this machine over plain HTTP, such as a sandbox's.
    """
    names = {"localhost", host.lower(), (urlsplit(public_url).hostname or "").lower()}
    headers = _headers(results_nearby=results_nearby)
    found: dict[str, Page] = {}
    for file in (files("receiver.dashboard") / "static").iterdir():
        media_type = _MEDIA_TYPES[file.name[file.name.rindex(".") :]]
        path = _PAGES.get(file.name, f"/static/{file.name}")
        found[path] = _page(file.read_bytes(), media_type, headers, names)
    return found


def _headers(*, results_nearby: bool) -> Mapping[str, str]:
    # A provider's links may lead to any host. Redirects from our `…/result` are checked at each
    # step, so `'self'` alone is not enough. A page on HTTPS could not load plain HTTP anyway.
    results = "'self' https:" + (" http://127.0.0.1:*" if results_nearby else "")
    policy = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        f"img-src {results}",
        f"media-src {results}",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        # The browser refuses innerHTML and the like, so text never becomes markup.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    return {
        # Revalidated each time (a 304), so that an upgrade takes effect at once.
        "Cache-Control": "no-cache",
        "Content-Security-Policy": "; ".join(policy),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def _page(body: bytes, media_type: str, headers: Mapping[str, str], names: Container[str]) -> Page:
    etag = f'"{sha256(body).hexdigest()[:32]}"'
    whole = Response(body, media_type=media_type, headers={**headers, "ETag": etag})
    unchanged = Response(status_code=304, headers={**headers, "ETag": etag})

    async def page(_context: object, request: Request) -> Response:
        if not _names_us(request.headers.get("host", ""), names):
            return _MISDIRECTED
        return unchanged if etag in request.headers.get("if-none-match", "") else whole

    return page


def _names_us(host: str, names: Container[str]) -> bool:
    """Whether a Host header names us. Otherwise it may be DNS rebinding, which cannot use an IP
    address, so all IP addresses are accepted."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name in names or name.endswith(".localhost"):
            return True
        ip_address(name)
    except ValueError:
        return False
    return True
