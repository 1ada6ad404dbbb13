"""What a SQL backend gives to the code that all share: a transaction, and one-statement reads."""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from store.contract import Changes
from store.records import Millis

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)
Item = TypeVar("Item")

Row: TypeAlias = tuple[Any, ...]
Parameters: TypeAlias = Mapping[str, object]
Bound: TypeAlias = Parameters | Sequence[object]
"""Parameters by name, or by place."""


class Result(Protocol):
    """What a statement gave. It may not have run yet before it is asked for something."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Session(Protocol):
    """The write transaction that is open. `sqlite3.Connection` is one."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Result: ...

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> object: ...


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event without its place in its user's log, which the end of the transaction gives it."""

    user_id: int
    nonce: str
    job_id: str
    job_seq: int
    at: Millis
    data: bytes


@dataclass(slots=True)
class Effects(Changes):
    """What one work has done: what it changed, and the events that it wants written."""

    events: list[NewEvent] = field(default_factory=list)


Work: TypeAlias = Callable[[S, Effects], T]
"""One member of a batch: writes within the transaction that is open, notes what it did in the
`Effects` that it is given, and returns what its caller waits for. It must neither commit nor block,
and it may be run again, when what it wrote was undone. When it raises, what it wrote is undone."""


@dataclass(frozen=True, slots=True)
class OnJobs(Generic[S_contra, T_co]):
    """A work that names the jobs it changes, directly or by their deliveries. Where others write
    at the same time, these are locked for it beforehand, so that no two batches lock crosswise."""

    work: Callable[[S_contra, Effects], T_co]
    jobs: tuple[str, ...] = ()
    deliveries: tuple[str, ...] = ()

    def __call__(self, session: S_contra, effects: Effects) -> T_co:
        return self.work(session, effects)


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """A member's value; it is on disk."""

    value: T


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing of this member was written."""

    error: BaseException


Outcome: TypeAlias = Done[T] | Failed


def tell(caller: asyncio.Future[T], outcome: Outcome[T]) -> None:
    """Give a waiting caller its outcome; one that was cancelled waits no more."""
    if caller.done():
        return
    match outcome:
        case Done(value):
            caller.set_result(value)
        case Failed(error):
            caller.set_exception(error)


class Unlike(Exception):
    """Raised within works that are alike: these could not be done by one call."""


@dataclass(frozen=True, slots=True)
class Alike(Generic[S_contra, Item, T]):
    """A work of a kind that comes in crowds: those of one batch are run by one call."""

    run: Callable[[S_contra, Effects, Sequence[Item]], Sequence[Outcome[T]]]
    """Does the work for several items, and gives an outcome for each, in order. Of an item that
    failed nothing may be written; when it raises, it is run again for fewer of them."""
    item: Item

    def __call__(self, session: S_contra, effects: Effects) -> T:
        (outcome,) = self.run(session, effects, [self.item])
        if isinstance(outcome, Failed):
            raise outcome.error
        return outcome.value


Crowd: TypeAlias = tuple[list[int], Work[S, Sequence[Outcome[object]]]]
"""Places of works in a batch, and one work that gives the outcomes of all of them."""


def crowds(works: Sequence[Work[S, object]]) -> list[Crowd[S]]:
    """The batch as it is run: works that are alike by one call, every other one by itself."""
    places: dict[Hashable, list[int]] = {}
    for place, work in enumerate(works):
        kind = work.run if isinstance(work, Alike) else place
        places.setdefault(kind, []).append(place)
    return [(some, _together([works[place] for place in some])) for some in places.values()]


def _together(works: Sequence[Work[S, object]]) -> Work[S, Sequence[Outcome[object]]]:
    first = works[0]
    alike = [work for work in works if isinstance(work, Alike)]

    def run(session: S, effects: Effects) -> Sequence[Outcome[object]]:
        if isinstance(first, Alike):
            return first.run(session, effects, [work.item for work in alike])
        return [Done(first(session, effects))]

    return run


class Readers(Protocol):
    """Reads from the database, each read the state of one moment."""

    async def fetch(self, sql: str, parameters: Bound) -> list[Row]:
        """All rows of one statement. Raises `StoreUnavailable`."""
        ...

    async def close(self) -> None: ...
