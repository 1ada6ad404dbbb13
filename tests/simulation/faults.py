"""What may go wrong in the world, as plain data: when it begins, how long it lasts, what it is."""

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Spells:
    """Times of trouble, each with a word for its kind; the latest to begin counts."""

    spells: list[tuple[float, float, str]] = field(default_factory=list)

    def add(self, begins: float, lasts: float, kind: str) -> None:
        self.spells.append((begins, begins + lasts, kind))

    def at(self, now: float) -> str | None:
        """The kind of trouble at a moment; None in good times."""
        found = None
        for begins, ends, kind in self.spells:
            if begins <= now < ends:
                found = kind
        return found

    def until(self, now: float) -> float:
        """When the trouble of a moment ends."""
        return max((ends for begins, ends, _ in self.spells if begins <= now < ends), default=now)

    def clear(self, now: float) -> None:
        """Good times from now on."""
        self.spells = [(b, min(e, now), k) for b, e, k in self.spells]

    def __iter__(self) -> Iterator[tuple[float, float, str]]:
        return iter(self.spells)
