"""How long work waits for the simulated writer while other work is served."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from store.writer import Work

Kind: TypeAlias = Literal["urgent", "normal"]

LONGEST_WAIT = 1.0
"""Seconds that work may wait while other work is served."""
LONGEST_GAP = 0.02
"""Seconds between two batches that count as work: more than a full batch takes where no hop to a
thread is slow. The promise is about the order of the work. During the rest of a longer gap the disk
was slow or the process stalled, which delays all work in any order."""


@dataclass(slots=True)
class _Waiting:
    work: Work[Any]
    kind: Kind
    since: float
    """In seconds of work."""


class Waits:
    """The work that waits in a process."""

    def __init__(self, on_starvation: Callable[[Kind, float], None]) -> None:
        """`on_starvation` is called with the kind of work that waited too long, and how long."""
        self._on_starvation = on_starvation
        self._waiting: list[_Waiting] = []
        self._served: dict[Kind, float] = {}
        """When work of each kind was last taken, in seconds of work."""
        self._worked = 0.0
        """Seconds of work up to the previous batch."""
        self._before = 0.0
        """Loop time of the previous batch."""

    def add(self, kind: Kind, work: Work[Any], now: float) -> None:
        self._waiting.append(_Waiting(work, kind, self._working_time(now)))

    def take(self, works: Sequence[Work[Any]], now: float) -> None:
        """These begin as one batch."""
        self._worked, self._before = self._working_time(now), now
        begun = {id(work) for work in works}
        for each in self._waiting:
            if id(each.work) in begun:
                self._served[each.kind] = self._worked
        self._waiting = [each for each in self._waiting if id(each.work) not in begun]
        self._check_starvation()

    def _working_time(self, now: float) -> float:
        return self._worked + min(now - self._before, LONGEST_GAP)

    def _check_starvation(self) -> None:
        first: dict[Kind, float] = {}
        for each in self._waiting:
            first.setdefault(each.kind, each.since)
        for kind, since in first.items():
            others = [at for other, at in self._served.items() if other != kind]
            waited = self._worked - since
            if waited > LONGEST_WAIT and max(others, default=-1.0) > since:
                self._on_starvation(kind, waited)
