"""Authentication by an API key in a header, or by a session. Lookups are cached for two seconds."""

from dataclasses import dataclass
from typing import Final, NoReturn, TypeVar

from starlette.datastructures import Headers
from starlette.types import Scope

from receiver.domain.schedule import HOUR
from receiver.engine.context import ServiceContext
from receiver.engine.keys import hash_key
from receiver.http_api.errors import Problem, not_found
from receiver.http_api.sessions import Sessions
from store.records.deliveries import Delivery
from store.records.jobs import Job

Owned = TypeVar("Owned", Job, Delivery)

CACHE_SECONDS = 2.0
"""Lifetime of a cached key; a revocation must take effect within five seconds."""
SCHEMES: Final = ("bearer", "token", "key")
"""Of the Authorization header: providers' own clients say Token or Key."""
NO_KEY: Final = "The API key is unknown or revoked."


@dataclass(frozen=True, slots=True)
class Caller:
    """The user who sent a request, and the key used."""

    user_id: int
    user: str
    key_hash: str
    admin: bool

    def readable(self, found: Owned | None) -> Owned:
        """Return `found`, if this caller may read it. Raises Problem 404."""
        if found is None or not (self.admin or found.user_id == self.user_id):
            raise not_found()
        return found


class Authenticator:
    """Finds the caller of a request."""

    def __init__(self, services: ServiceContext, sessions: Sessions) -> None:
        self._store = services.store
        self._clock = services.clock
        self._metrics = services.metrics
        self._used = services.keys_used
        self._sessions = sessions
        self._cache: dict[str, tuple[float, Caller]] = {}
        """Callers, and until when. Only of keys that exist, so it does not outgrow the store."""

    async def caller(self, scope: Scope) -> Caller:
        """The caller of a request, by its API key or else its session.

        Raises:
            Problem: 400 without a key or a valid session, 401 for an unknown or revoked key, 403
                if a session is used from a page that is not ours.
            StoreUnavailable: the key could not be looked up.
        """
        key = _given_key(scope)
        key_hash = hash_key(key) if key else self._sessions.key_hash(scope)
        if key_hash is None:
            self._metrics.logins_refused.labels("missing").inc()
            raise Problem(
                400,
                "api_key_missing",
                "Send your API key in the header API-KEY, or as Authorization: Bearer KEY.",
            )
        caller = await self.caller_of_key(key_hash)
        if caller is None:
            self.refuse()
        return caller

    def refuse(self, detail: str = NO_KEY) -> NoReturn:
        """Refuse an invalid credential. Raises Problem 401."""
        self._metrics.logins_refused.labels("unknown").inc()
        raise unauthorized(detail)

    async def caller_of_key(self, key_hash: str) -> Caller | None:
        """The caller of an active key, from a cache of `CACHE_SECONDS`; None for any other key."""
        now = self._clock.monotonic()
        cached = self._cache.get(key_hash)
        if cached is not None and now < cached[0]:
            return cached[1]
        key = await self._store.keys.find(key_hash)
        if key is None or key.revoked_at is not None:
            return None
        if (key.last_used_at or 0) <= self._clock.now() - HOUR:
            self._used.add(key.hash)
        caller = Caller(key.user_id, key.user, key.hash, key.admin)
        self._cache[key_hash] = (now + CACHE_SECONDS, caller)
        return caller


def unauthorized(detail: str) -> Problem:
    return Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})


def _given_key(scope: Scope) -> str:
    headers = Headers(scope=scope)
    if "api-key" in headers:
        return headers["api-key"].strip()
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() in SCHEMES else ""
