"""The dashboard's files: read once, and served with the headers that keep a page to itself.

There is one page. It holds no data and asks for none that needs no session; what it shows comes
from the API that everybody uses.
"""

from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

_MEDIA_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


def pages(public_url: str, host: str, *, results_nearby: bool) -> Mapping[str, ASGIApp]:
    """The application for each path: `/` and one for each file below `/static/`.

    They answer to the names in `public_url` and `host`, to loopback names, and to addresses.
    `results_nearby` lets results be shown that this machine serves over plain HTTP, as a sandbox's.
    """
    names = {"localhost", host.lower(), (urlsplit(public_url).hostname or "").lower()}
    headers = _headers(results_nearby=results_nearby)
    found: dict[str, ASGIApp] = {}
    for file in (files("receiver.dashboard") / "static").iterdir():
        media_type = _MEDIA_TYPES[file.name[file.name.rindex(".") :]]
        path = "/" if file.name == "index.html" else f"/static/{file.name}"
        found[path] = _Page(file.read_bytes(), media_type, headers, frozenset(names))
    return found


def _headers(*, results_nearby: bool) -> Mapping[str, str]:
    # A provider's links lead to any host; a page on HTTPS could not show them over HTTP anyway.
    # The redirect of our own `…/result` leads to them, and every step of one is checked.
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
        # No text ever becomes markup: the browser refuses innerHTML and its like.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    return {
        # Asked for again each time, which costs a 304: an upgrade is seen at once.
        "Cache-Control": "no-cache",
        "Content-Security-Policy": "; ".join(policy),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


class _Page:
    """One file."""

    def __init__(
        self, body: bytes, media_type: str, headers: Mapping[str, str], names: frozenset[str]
    ) -> None:
        etag = f'"{sha256(body).hexdigest()[:32]}"'
        self._names = names
        self._etag = etag
        self._whole = Response(body, media_type=media_type, headers={**headers, "ETag": etag})
        self._unchanged = Response(status_code=304, headers={**headers, "ETag": etag})
        self._misdirected = PlainTextResponse(
            "This page is not served under that name. Set RECEIVER_PUBLIC_URL to the address"
            " at which people open it.\n",
            status_code=421,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if not self._answers_to(headers.get("host", "")):
            response: Response = self._misdirected
        elif self._etag in headers.get("if-none-match", ""):
            response = self._unchanged
        else:
            response = self._whole
        await response(scope, receive, send)

    def _answers_to(self, host: str) -> bool:
        """Whether a Host header names us: else a foreign name was pointed here (DNS rebinding).

        Nobody can point an address elsewhere, so every address will do.
        """
        try:
            name = urlsplit(f"//{host}").hostname or ""
            if name in self._names or name.endswith(".localhost"):
                return True
            ip_address(name)
        except ValueError:
            return False
        return True
