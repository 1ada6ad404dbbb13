"""Sessions: a browser signs in with its key once; after that, a signed cookie stands for the key.

The cookie is HttpOnly, so that no script reads it, and holds the key's hash, so that it is no use
anywhere else; a session ends with its key. A browser sends cookies whoever made it ask, so what
changes something has to carry a header too, which no foreign page can set: a form cannot, and a
script of another origin is not allowed to.
"""

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from receiver.clock import Clock
from receiver.http_api.errors import Problem
from receiver.signed_text import BadSignature, SignedText

COOKIE: Final = "receiver_session"
HEADER: Final = "X-Requested-With"
SESSION_SECONDS: Final = 12 * 3600

_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
_OWN_SITE: Final = frozenset({None, "same-origin", "none"})
"""Values of Sec-Fetch-Site; old browsers, and browsers on plain HTTP, send none."""


class Sessions:
    """Opens, reads and ends sessions. Stateless: signing out forgets the cookie in the browser."""

    def __init__(self, keys: Sequence[str], clock: Clock, *, secure: bool) -> None:
        """`keys` are newest first; `secure` keeps the cookie to HTTPS.

        Raises:
            ValueError: there is no key.
        """
        self._texts = SignedText(keys, b"receiver.session")
        self._clock = clock
        self._secure = secure

    def open(self, response: Response, key_hash: str) -> None:
        """Give the browser a session of the key with that hash."""
        expires_at = self._clock.now() + SESSION_SECONDS * 1_000
        self._set_cookie(response, self._texts.sign([key_hash, expires_at]), SESSION_SECONDS)

    def end(self, response: Response) -> None:
        """Make the browser forget its session."""
        self._set_cookie(response, "", 0)

    def key_hash(self, scope: Scope) -> str | None:
        """The hash of the key that a request's session stands for; None without a good session.

        Raises:
            Problem: 403, the session's own page did not send this request.
        """
        request = Request(scope)
        text = request.cookies.get(COOKIE)
        if not text:
            return None
        try:
            payload = self._texts.read(text)
        except BadSignature:
            return None
        match payload:
            case [str(key_hash), int(expires_at)] if self._clock.now() < expires_at:
                require_own_page(request)
                return key_hash
            case _:  # over, or signed by another version of ours
                return None

    def _set_cookie(self, response: Response, text: str, seconds: int) -> None:
        response.set_cookie(
            COOKIE,
            text,
            max_age=seconds,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="strict",
        )


def require_own_page(request: Request) -> None:
    """Refuse what a page of another origin made the browser send. Raises Problem 403."""
    own = request.headers.get("sec-fetch-site") in _OWN_SITE
    if not own or (request.method not in _SAFE_METHODS and HEADER not in request.headers):
        raise Problem(
            403,
            "foreign_request",
            f"With a session, only our own page may ask; it sends the header {HEADER}.",
        )
