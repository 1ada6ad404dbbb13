"""What the parts of a store share."""

from dataclasses import dataclass

from store.ids import Entropy, Ids
from store.relational.session import Readers
from store.relational.statements import Statements
from store.relational.writer import Writer

_NONCE_BYTES = 6


@dataclass(frozen=True, slots=True)
class Randomness:
    """Where nonces and the ids of messages come from. Used on the writer alone."""

    entropy: Entropy
    ids: Ids

    def nonce(self) -> str:
        return self.entropy(_NONCE_BYTES).hex()


@dataclass(frozen=True, slots=True)
class Backend:
    """One database: who writes, who reads, in which words."""

    writer: Writer
    readers: Readers
    statements: Statements
    random: Randomness
