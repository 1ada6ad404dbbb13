"""Verification of signed callbacks: what all providers' schemes have in common."""

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from receiver.clock import Clock
from receiver.domain.schedule import DAY
from receiver.upstream.calls import NoAnswer, Response
from receiver.upstream.contract import BadSignature, Headers, Verify

TOLERANCE: Final = 300
"""Seconds by which a valid signature's timestamp may differ from our clock."""
ASK_PAUSE: Final = 60.0
"""Minimum seconds between key requests caused by signatures that no key matches."""
ASK_TIMEOUT: Final = 3.0
"""Maximum seconds of a key request. A callback may wait for it, and its sender expects an answer in
a few seconds."""

K = TypeVar("K")

log = structlog.get_logger()


def signed_header(headers: Headers, name: bytes) -> bytes:
    """A required header of a signed callback. Raises `BadSignature` if it is missing or empty."""
    value = next((value for each, value in headers if each == name), b"")
    if not value:
        raise BadSignature(f"no {name.decode()}")
    return value


def is_fresh(timestamp: bytes, clock: Clock) -> bool:
    """Whether the Unix timestamp in a header differs from our clock by at most `TOLERANCE`. Raises
    `BadSignature` if it is not an integer."""
    if not re.fullmatch(rb"[+-]?[0-9]{1,50}", timestamp):
        raise BadSignature("the timestamp is not an integer")
    return abs(clock.now() / 1_000 - int(timestamp)) <= TOLERANCE


class VerificationKeys(Generic[K]):
    """A provider's keys: fetched at start, and again, at most once a minute, if none matches. They
    are kept for a day."""

    def __init__(self, clock: Clock, ask: Callable[[], Awaitable[Sequence[K]]]) -> None:
        """`ask` returns the current keys, and may raise NoAnswer."""
        self._clock = clock
        self._ask = ask
        self._known: Sequence[K] = ()
        self._known_until = 0.0
        """Monotonic time."""
        self._ask_at = 0.0
        """Monotonic time before which no further request is made."""
        self._asking: asyncio.Task[None] | None = None

    def fetch(self) -> None:
        """Begin to fetch the keys, unless a request is in progress."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._request_keys())

    def verifier(self, matches: Callable[[K, bytes], bool], *, fresh: bool) -> Verify:
        """A function that verifies a callback. `matches` says whether its signature was made with
        this key for this body; `fresh` whether the time of signing is close to our clock."""

        async def verify(body: bytes) -> bool:
            if not any(matches(key, body) for key in self._current()):
                await self._fetch_again()
                keys = self._current()
                if not keys:
                    return False  # without keys, the callback is an unverified claim
                if not any(matches(key, body) for key in keys):
                    raise BadSignature("no key matches")
            return fresh

        return verify

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    def _current(self) -> Sequence[K]:
        """The keys, unless they have expired."""
        return self._known if self._clock.monotonic() < self._known_until else ()

    async def _fetch_again(self) -> None:
        """Fetch the keys, unless that was done within `ASK_PAUSE`, or wait for the request in
        progress, which goes on if the caller is cancelled."""
        now = self._clock.monotonic()
        if self._asking is None and now >= self._ask_at:
            self._ask_at = now + ASK_PAUSE
            self.fetch()
        if self._asking is not None:
            await asyncio.wait({self._asking})

    async def _request_keys(self) -> None:
        given: Sequence[K] = ()
        try:
            with suppress(NoAnswer):
                given = await self._ask()
        finally:
            self._asking = None
        if given:
            self._known, self._known_until = given, self._clock.monotonic() + DAY / 1_000
        else:
            log.warning("could not fetch the keys that verify callbacks")


def read_jwks(response: Response) -> list[Ed25519PublicKey]:
    """The valid Ed25519 keys of a JWKS."""
    given = (response.body or {}).get("keys")
    found = map(_read_jwk, given if isinstance(given, list) else ())
    return [key for key in found if key is not None]


def _read_jwk(given: Any) -> Ed25519PublicKey | None:
    encoded = given.get("x") if isinstance(given, dict) else None
    if not isinstance(encoded, str) or given.get("crv", "Ed25519") != "Ed25519":
        return None
    try:
        # Padding is optional, and surplus padding is ignored.
        return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(encoded + "=="))
    except ValueError:
        return None
