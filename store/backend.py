"""The database access that a store's repositories share."""

from dataclasses import dataclass

from store.ids import Entropy, Ids
from store.records import Millis
from store.session import Readers
from store.statements import Statements
from store.writer import Writer

_NONCE_BYTES = 6


@dataclass(frozen=True, slots=True)
class Randomness:
    """The source of nonces and message ids. Used on the writer only."""

    entropy: Entropy
    ids: Ids

    def nonce(self) -> str:
        return self.entropy(_NONCE_BYTES).hex()


@dataclass(frozen=True, slots=True)
class Backend:
    """One database: its writer, its readers and its SQL."""

    writer: Writer
    readers: Readers
    statements: Statements
    random: Randomness


CLOCKS_APART: Millis = 600_000
"""The clock difference between two processes above which one ends the other's leases."""


def longest_hold(until: Millis) -> Millis:
    """The latest believable end of a lease, for a caller that takes one until `until`.

    A lease that ends later was taken before the clock was set back. It counts as ended; otherwise
    it would last for as long as the clock was set back.
    """
    return until + CLOCKS_APART
