"""Sessions: a browser signs in with an API key once, and then uses a signed cookie.

The cookie is HttpOnly, so scripts cannot read it. It contains only the key's hash and an expiry
time; the session also ends when the key is revoked. Against CSRF, requests that change something
need a header that pages of other origins cannot set. (Starlette's SessionMiddleware knows one
signing key; ours are rotated.)
"""

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from receiver.clock import Clock
from receiver.http_api.errors import Problem
from receiver.signed_text import Purpose, Signer

COOKIE: Final = "receiver_session"
HEADER: Final = "X-Requested-With"
SESSION_SECONDS: Final = 12 * 3600

_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
_SAME_ORIGIN_SITES: Final = frozenset({None, "same-origin", "none"})
"""Accepted values of Sec-Fetch-Site. Old browsers, and browsers on plain HTTP, do not send it."""


class Sessions:
    """Opens, reads and ends sessions. No session is stored: signing out only deletes the browser's
    cookie."""

    def __init__(self, signer: Signer, clock: Clock, *, secure: bool) -> None:
        """`secure` restricts the cookie to HTTPS and to this very host."""
        self._signer = signer
        self._clock = clock
        self._secure = secure
        self._cookie = f"__Host-{COOKIE}" if secure else COOKIE
        # Parsed here, and not unquoted: the standard library's unquoting takes quadratic time
        # (CVE-2024-7592), and our cookie has no quotes.
        self._pattern = re.compile(rf"(?:\A|;)[ \t]*+{self._cookie}=([^;\s]{{1,1024}})".encode())

    def open(self, response: Response, key_hash: str) -> None:
        """Set the cookie of a new session for the key with this hash."""
        expires_at = self._clock.now() + SESSION_SECONDS * 1_000
        text = self._signer.dump(Purpose.SESSION, [key_hash, expires_at])
        self._set_cookie(response, text, SESSION_SECONDS)

    def end(self, response: Response) -> None:
        self._set_cookie(response, "", 0)

    def key_hash(self, scope: Scope) -> str | None:
        """The key hash of a request's session; None without a valid session.

        Raises:
            Problem: 403, if a page of another origin sent the request.
        """
        text = self._given(scope)
        match text and self._signer.load(Purpose.SESSION, text):
            case [str(key_hash), int(expires_at)] if self._clock.now() < expires_at:
                require_same_origin(Request(scope))
                return key_hash
            case _:  # none, forged, expired, or from another version of the service
                return None

    def _set_cookie(self, response: Response, text: str, seconds: int) -> None:
        response.set_cookie(
            self._cookie,
            text,
            max_age=seconds,
            secure=self._secure,
            httponly=True,
            samesite="strict",
        )

    def _given(self, scope: Scope) -> str | None:
        """The session cookie. If there are several, the first: browsers send the one with the
        longest path first (RFC 6265, 5.4)."""
        for name, value in scope["headers"]:
            if name == b"cookie" and (found := self._pattern.search(value)):
                return found[1].decode("latin-1")
        return None


def require_same_origin(request: Request) -> None:
    """Refuse a request sent by a page of another origin (CSRF). Raises Problem 403."""
    own = request.headers.get("sec-fetch-site") in _SAME_ORIGIN_SITES
    if not own or (request.method not in _SAFE_METHODS and HEADER not in request.headers):
        raise Problem(
            403,
            "foreign_request",
            f"A session works only for our own pages, which send the header {HEADER}.",
        )
