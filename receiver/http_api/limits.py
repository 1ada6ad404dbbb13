"""Limits on request rates and on concurrency."""

import asyncio
from weakref import WeakValueDictionary

from receiver.clock import Clock
from receiver.config.values import Rate
from receiver.http_api.errors import Problem


class RateLimit:
    """A token bucket per API key, by the generic cell rate algorithm (ITU-T I.371).

    A bucket holds `rate.count` requests and refills within `rate.seconds`.
    """

    def __init__(self, rate: Rate | None, clock: Clock) -> None:
        self._clock = clock
        self._rate = rate
        self._gap = rate.seconds / rate.count if rate else 0.0
        self._arrivals: dict[str, float] = {}

    def take(self, key_hash: str) -> None:
        """Count one request.

        Raises:
            Problem: 429, with the seconds until the next one is free.
        """
        if self._rate is None:
            return
        now = self._clock.monotonic()
        due = max(self._arrivals.get(key_hash, now), now)
        wait = due + self._gap - self._rate.seconds - now
        if wait > 1e-9:
            raise Problem(
                429,
                "rate_limited",
                f"More than {self._rate.count} requests in {self._rate.seconds:g} seconds."
                f" Wait {max(wait, 0.1):.1f} seconds.",
                headers={"Retry-After": str(int(wait) + 1)},
            )
        self._arrivals[key_hash] = due + self._gap


class UserLocks:
    """Serialises the requests of each user; those of different users run concurrently. So at most
    one request of each other user competes with a user's own."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    def of(self, user_id: int) -> asyncio.Lock:
        return self._locks.setdefault(user_id, asyncio.Lock())
