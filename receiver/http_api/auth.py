"""Authentication by an API key in a header, or by a session. Lookups are cached for two seconds."""

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final, NoReturn, TypeVar

from starlette.datastructures import Headers
from starlette.types import Scope

from receiver.clock import Clock
from receiver.engine.keys import hash_key
from receiver.http_api.errors import Problem, not_found
from receiver.http_api.limits import FAILED_LOGINS, RateLimit
from receiver.http_api.sessions import Sessions
from receiver.metrics import Metrics
from store.database import Store
from store.records.deliveries import Delivery
from store.records.jobs import Job

Owned = TypeVar("Owned", Job, Delivery)

CACHE_SECONDS = 2.0
"""Lifetime of a cached key; a revocation must take effect within five seconds."""
CACHE_KEYS = 10_000
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

    def __init__(self, store: Store, clock: Clock, metrics: Metrics, sessions: Sessions) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._sessions = sessions
        self._cache: dict[str, tuple[float, Caller | None]] = {}
        self._failures = RateLimit(FAILED_LOGINS, clock)

    async def caller(self, scope: Scope) -> Caller:
        """The caller of a request, by its API key or else its session.

        Raises:
            Problem: 400 without a key or a valid session, 401 for an unknown or revoked key, 429
                after too many such keys, 403 if a session is used from a page that is not ours.
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
            self.refuse(scope)
        return caller

    def refuse(self, scope: Scope, detail: str = NO_KEY) -> NoReturn:
        """Refuse an invalid credential, and count it against the client's address. Requests with
        valid credentials are never refused, so others at the same address are not locked out.

        Raises:
            Problem: 401, or 429 if there were too many from this address.
        """
        self._metrics.logins_refused.labels("unknown").inc()
        self._failures.take(_network_of(scope))
        raise unauthorized(detail)

    async def caller_of_key(self, key_hash: str) -> Caller | None:
        """The caller of an active key, from a cache of `CACHE_SECONDS`; None for any other key."""
        now = self._clock.monotonic()
        cached = self._cache.get(key_hash)
        if cached is not None and now < cached[0]:
            return cached[1]
        key = await self._store.keys.find(key_hash)
        caller = None
        if key is not None and key.revoked_at is None:
            caller = Caller(key.user_id, key.user, key.hash, key.admin)
        if len(self._cache) >= CACHE_KEYS:
            self._cache.clear()
        self._cache[key_hash] = (now + CACHE_SECONDS, caller)
        return caller


def unauthorized(detail: str) -> Problem:
    return Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})


def _network_of(scope: Scope) -> str:
    """The client's IPv4 address, or the /64 of its IPv6 address: one customer usually has a whole
    /64."""
    host: str = scope["client"][0] if scope.get("client") else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        # A listener on `::` sees an IPv4 client as a mapped address; all of them are in one /64.
        return str(address.ipv4_mapped or int(address) >> 64)
    return host


def _given_key(scope: Scope) -> str:
    headers = Headers(scope=scope)
    if "api-key" in headers:
        return headers["api-key"].strip()
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
