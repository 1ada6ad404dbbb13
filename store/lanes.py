"""Lanes: what is due in them, taken users in turn, and leases.

A look at a lane is one transaction: it ends the leases that have expired, lists what is due, lets
the caller choose, and takes what was chosen. The tables `due` and `deliveries` are both looked at
in this way.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from heapq import merge
from operator import attrgetter
from typing import ClassVar, Final, Generic, NamedTuple, TypeAlias, TypeVar

from store.records.times import Lane, Lease, Millis
from store.repository import Backend, Repository
from store.session import Parameters, Session

W = TypeVar("W")
T = TypeVar("T")

ROWS_PER_LOOK: Final = 128
"""How many rows a look reads at most, so that it takes about a millisecond."""


class Candidate(NamedTuple):
    """A job or a message that is due in a lane."""

    id: str
    job_id: str
    user_id: int
    peer: str
    """Whom it goes to: the provider, or the host of the webhook."""
    at: Millis
    """Since when it is due."""
    rank: int
    """Which number in flight it would be for its user."""
    batch: bool = False
    """Whether it has to let normal jobs go first. Only known at a provider with a limit."""
    ready: bool = True
    """False for a message that has to wait for another one of its job."""


Choose: TypeAlias = Callable[[Sequence[Candidate]], Sequence[Candidate]]
"""Gets what is due in fair order, and returns what may be taken now; the first are taken. It must
be pure and fast: it runs in the writer's thread, and again if the transaction is repeated."""


class Bookmark(NamedTuple):
    """Where a look at a lane has stopped, and the next one goes on."""

    peer: str = ""
    user_id: int = 0
    batch: bool = False
    next_at: Millis | None = None
    """The earliest time found so far at which something is due later."""


START: Final = Bookmark()


@dataclass(frozen=True, slots=True)
class Look:
    """A look at a lane: a transaction that takes what is due, users in turn."""

    lane: Lane
    now: Millis
    most: int
    """The maximum number to take."""
    choose: Choose
    bookmark: Bookmark = START
    limits: Mapping[str, int] = field(default_factory=dict)
    """The maximum number of jobs in flight at each provider that has one; only for
    `Lane.SUBMIT`."""


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """What a look brought."""

    taken: list[T]
    bookmark: Bookmark
    """Where the next look goes on; `START` after the end of the lane."""
    has_more: bool
    """Whether due work was left."""
    next_at: Millis | None
    """When more will be due, or a lease ends. Only known at the end of the lane."""
    refused: Sequence[Candidate] = ()
    """What was due and not chosen."""
    full: frozenset[str] = frozenset()
    """The providers at which jobs were left for want of a place."""


class LaneTable(Repository, ABC, Generic[W]):
    """A table whose rows are due in lanes."""

    share: ClassVar[int | None] = None
    """How many due rows of a user for one peer a look reads at most; None: as many as it takes."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self._lanes = backend.statements.load("lanes")
        self._places = backend.statements.load("places")

    async def lease(self, look: Look, lease: Lease) -> Found[W]:
        """Lease what is due; it can be leased again when the lease has ended."""
        return await self._writer.normal(
            lambda db, _: self._look(db, look, partial(self._lease, db, look, lease))
        )

    @abstractmethod
    def _end_leases(self, db: Session, here: Parameters) -> None:
        """End the leases of the lane that have expired."""

    @abstractmethod
    def _lease(self, db: Session, look: Look, lease: Lease, chosen: Sequence[Candidate]) -> list[W]:
        """Lease what was chosen, unless it has changed since it was listed."""

    def _look(
        self, db: Session, look: Look, take: Callable[[Sequence[Candidate]], list[T]]
    ) -> Found[T]:
        """Choose what is due, and take it."""
        here = {"lane": look.lane.value, "now": look.now}
        db.execute(self._lanes["lock-lane"], here)
        self._end_leases(db, here)
        walked, last = self._walk(db, look)
        free, full = self._count_places(db, look)
        others = [each for each in walked if each.ready and each.peer not in free]
        lists = [others, *(self._list_waiting(db, look, *each) for each in free.items())]
        due = [*merge(*([c for c in each if c.at <= look.now] for each in lists), key=_rank)]
        allowed = look.choose(due)
        chosen = [*_within_places(allowed, free)][: look.most]
        full |= _filled(due, chosen, free)
        has_more = bool(full) or len(chosen) < len(due)
        refused = [*({*due} - {*allowed})]
        later = [each.at for candidates in lists for each in candidates if each.at > look.now]
        later += filter(None, [look.bookmark.next_at])
        end = START
        if last is not None:
            end = Bookmark(last.peer, last.user_id, last.batch, min(later, default=None))
        taken = take(chosen)
        # Only now: the leases of this look end too.
        later += filter(None, db.execute(self._sql["next-lease-end"], here).fetchone())
        return Found(taken, end, has_more, min(later, default=None), refused, frozenset(full))

    def _walk(self, db: Session, look: Look) -> tuple[list[Candidate], Candidate | None]:
        """A bounded number of rows in fair order, and one for each provider with a limit; also the
        last one before the bound, if it was reached."""
        mark = look.bookmark
        parameters = {
            "lane": look.lane.value,
            "calls": Lane.SUBMITTING.value if look.lane is Lane.SUBMIT else "",
            "now": look.now,
            "share": self.share or look.most,
            "most": ROWS_PER_LOOK,
            "limited": f",{','.join(look.limits)},",
            "peer": mark.peer,
            "user_id": mark.user_id,
            "batch": int(mark.batch),
        }
        rows = db.execute(self._sql["list-candidates"], parameters).fetchall()
        last = next((row for row in rows if row[0] == ROWS_PER_LOOK), None)
        return [Candidate(*row[1:]) for row in rows], last and Candidate(*last[1:])

    def _count_places(self, db: Session, look: Look) -> tuple[Mapping[str, int], set[str]]:
        """The free places at each provider with a limit; and those at which a job waits although
        they have none. A place is taken in the transaction that has counted, which holds the lane's
        lock."""
        free, full = dict[str, int](), set[str]()
        for provider, limit in look.limits.items():
            here = {"provider": provider}
            ((in_flight, waits),) = db.execute(self._places["count-in-flight"], here).fetchall()
            free[provider] = max(0, limit - in_flight)
            if waits and in_flight >= limit:
                full.add(provider)
        return free, full

    def _list_waiting(self, db: Session, look: Look, provider: str, free: int) -> list[Candidate]:
        """What waits at a provider, in the order in which it gets the free places."""
        if not free:
            return []
        # One more shows whether a job is left.
        share = min(free, look.most) + 1
        parameters = {"provider": provider, "now": look.now, "share": share}
        rows = db.execute(self._places["list-waiting"], parameters).fetchall()
        return [Candidate(*row) for row in rows]


by_job = attrgetter("job_id")
"""The order in which jobs are locked."""

_rank = attrgetter("rank")
"""Lists are merged by the rank of what comes next in each, so that no provider takes all slots."""


def _filled(
    due: Sequence[Candidate], chosen: Sequence[Candidate], free: Mapping[str, int]
) -> set[str]:
    """The providers whose free places are all taken, and at which jobs are left."""
    taken_at = Counter(each.peer for each in chosen)
    left_at = Counter(each.peer for each in due) - taken_at
    return {each for each in left_at if taken_at[each] == free.get(each)}


def _within_places(chosen: Sequence[Candidate], free: Mapping[str, int]) -> Iterator[Candidate]:
    """The first of those chosen, as many as there are free places at their provider."""
    taken = Counter[str]()
    for each in chosen:
        taken[each.peer] += 1
        if taken[each.peer] <= free.get(each.peer, taken[each.peer]):
            yield each
