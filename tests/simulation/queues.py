"""The simulated writer's queues: which work is next, by the real rule (store/batch_sizer.py), and
how long it takes in virtual time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from store.batch_sizer import BatchSizer, reserved_for_bulk
from store.session import Work
from store.writer import KINDS, Kind

COMMIT_SECONDS = 0.001
URGENT_SECONDS = 15e-6
BACKGROUND_SECONDS = 150e-6
RUSH = 8
"""With this many urgent members waiting, the real rule alone sets the size of the next batch."""
LONGEST_QUEUE = 500
LONGEST_WAIT = 1.0
"""Seconds that work may wait while other work is served."""
LONGEST_GAP = 0.35
"""Seconds between two batches that count as work; during the rest of a longer gap the process was
stalled."""


@dataclass(slots=True)
class Member:
    """One work in a queue."""

    work: Work[Any]
    caller: Any
    at: float
    """Loop time at which it was enqueued."""
    since: float
    """The same, in seconds of work."""


@dataclass(slots=True)
class Members:
    """The members of one batch."""

    urgent: list[Member]
    background: list[Member]

    def __iter__(self) -> Iterator[Member]:
        return iter((*self.urgent, *self.background))

    @property
    def seconds(self) -> tuple[float, float]:
        """How long the urgent members and the others take, without the commit."""
        return len(self.urgent) * URGENT_SECONDS, len(self.background) * BACKGROUND_SECONDS


class Queues:
    """The three queues of a process."""

    def __init__(self, on_starvation: Callable[[Kind, float], None]) -> None:
        """`on_starvation` is called with the kind of work that waited too long, and how long."""
        self._on_starvation = on_starvation
        self._queues: dict[Kind, list[Member]] = {kind: [] for kind in KINDS}
        self._served: dict[Kind, float] = dict.fromkeys(KINDS, -1.0)
        """When work of each kind was last taken, in seconds of work."""
        self._batch_sizer = BatchSizer()
        self._worked = 0.0
        """Seconds of work up to the previous batch."""
        self._before = 0.0
        """Loop time of the previous batch."""

    def __bool__(self) -> bool:
        return any(self._queues.values())

    def is_full(self, kind: Kind) -> bool:
        return len(self._queues[kind]) >= LONGEST_QUEUE

    def add(self, kind: Kind, work: Work[Any], caller: Any, now: float) -> None:
        self._queues[kind].append(Member(work, caller, now, self._working_time(now)))

    def take(self, now: float, most: int) -> Members:
        """The next batch: at most `most` urgent members and half as many others. In a rush, the
        sizer's number of urgent members replaces `most`."""
        self._worked, self._before = self._working_time(now), now
        if len(self._queues["urgent"]) >= RUSH:
            most = self._batch_sizer.urgent_members
        urgent = self._take("urgent", most)
        oldest = [self._queues[kind][0].at for kind in KINDS[1:] if self._queues[kind]]
        waited = now - min(oldest) if oldest else 0.0
        others = min(self._batch_sizer.background_members(len(urgent), waited), max(2, most // 2))
        steps = others - reserved_for_bulk(others, len(self._queues["bulk"]))
        background = self._take("normal", steps)
        background += self._take("bulk", others - len(background))
        members = Members(urgent, background)
        self._batch_sizer.record(len(urgent), len(background), members.seconds)
        self._check_starvation()
        return members

    def take_all(self) -> Members:
        """All members that are left, when the writer closes."""
        urgent, *others = (self._take(kind, LONGEST_QUEUE) for kind in KINDS)
        return Members(urgent, [member for queue in others for member in queue])

    def _take(self, kind: Kind, most: int) -> list[Member]:
        queue = self._queues[kind]
        taken, queue[:] = queue[: max(0, most)], queue[max(0, most) :]
        if taken:
            self._served[kind] = self._worked
        return taken

    def _working_time(self, now: float) -> float:
        return self._worked + min(now - self._before, LONGEST_GAP)

    def _check_starvation(self) -> None:
        for kind, queue in self._queues.items():
            if not queue:
                continue
            waited = self._worked - queue[0].since
            others = [at for other, at in self._served.items() if other != kind]
            if waited > LONGEST_WAIT and max(others) > queue[0].since:
                self._on_starvation(kind, waited)
