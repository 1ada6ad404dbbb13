"""Ids that sort by creation time: a prefix and a monotonic ULID (https://github.com/ulid/spec).

48 bits of milliseconds, then 80 random bits, in Crockford's base32. Within one millisecond, and
when the clock steps back, the next id is the last one plus one: a process's ids always increase.
"""

from collections.abc import Callable
from threading import Lock

from store.records.times import Millis

Entropy = Callable[[int], bytes]
"""Returns that many random bytes; `os.urandom` except in tests and the simulation."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_RANDOM_BITS = 80
_NONCE_BYTES = 6


class Ids:
    """A source of ids, for all threads."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._last = 0
        self._lock = Lock()

    def new(self, prefix: str, now: Millis) -> str:
        """The next id: `prefix`, an underscore, 26 characters."""
        fresh = now << _RANDOM_BITS | int.from_bytes(self._entropy(_RANDOM_BITS // 8))
        with self._lock:
            if fresh >> _RANDOM_BITS <= self._last >> _RANDOM_BITS:
                fresh = self._last + 1
            self._last = fresh
        return f"{prefix}_{_encode(fresh)}"

    def nonce(self) -> str:
        """Twelve random hexadecimal digits. They do not sort by time."""
        return self._entropy(_NONCE_BYTES).hex()


def first_id(prefix: str, at: Millis) -> str:
    """The lowest possible id of a millisecond."""
    return f"{prefix}_{_encode(at << _RANDOM_BITS)}"


def _encode(number: int) -> str:
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])
