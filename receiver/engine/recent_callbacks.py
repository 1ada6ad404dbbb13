"""Remembers recently stored callbacks, so that duplicates need no write."""

from typing import Final, TypeAlias

from receiver.clock import Clock
from store.callbacks import Receipt

REMEMBERED_SECONDS: Final = 60.0
"""How long a callback is remembered, at most."""
MAX_RECENT: Final = 10_000
"""Maximum number remembered; then the oldest is dropped."""

Key: TypeAlias = tuple[str, bytes, bool]
"""The job id, the SHA-256 of the body, and whether its signature is verified: a verified duplicate
makes the stored one verified."""


class RecentCallbacks:
    """The answers to duplicates of stored callbacks. Per process: another replica has its own
    memory, or asks the store, and answers the same."""

    def __init__(self, clock: Clock, retention: float) -> None:
        """`retention` is how long finished jobs are kept, in seconds. No callback is remembered
        longer, so duplicates for a removed job get 410, unless the first came after its end."""
        self._clock = clock
        self._seconds = min(REMEMBERED_SECONDS, retention)
        self._answers: dict[Key, tuple[float, Receipt]] = {}

    def answer(self, key: Key) -> Receipt | None:
        """What the store would answer; None if it must be asked."""
        found = self._answers.get(key)
        if found is None or found[0] <= self._clock.monotonic():
            return None
        return found[1]

    def remember(self, key: Key, receipt: Receipt) -> None:
        """Remember the receipt of a callback's duplicates, if the callback was stored."""
        if receipt is Receipt.SURPLUS:
            return
        again = Receipt.DUPLICATE if receipt is Receipt.ACCEPTED else receipt
        self._answers.pop(key, None)  # move it to the end: the first is always the oldest
        self._answers[key] = (self._clock.monotonic() + self._seconds, again)
        if len(self._answers) > MAX_RECENT:
            del self._answers[next(iter(self._answers))]
