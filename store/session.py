"""A SQL backend's interface to the shared code: a write transaction and one-statement reads."""

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from store.changes import Effects

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Item = TypeVar("Item")

Row: TypeAlias = tuple[Any, ...]
Parameters: TypeAlias = Mapping[str, object]
Bound: TypeAlias = Parameters | Sequence[object]
"""Parameters by name or by position."""


class Result(Protocol):
    """A statement's result. A backend may run the statement only when the result is used."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...


class Session(Protocol):
    """The open write transaction. `sqlite3.Connection` and `PostgresSession` implement it."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Result: ...


Work: TypeAlias = Callable[[Session, Effects], T]
"""One member of a batch. It writes within the open transaction, records what it did in the given
`Effects`, and returns the value for its caller. It must neither commit nor block. After a rollback
it may run again. When it raises, its writes are rolled back."""


@dataclass(frozen=True, slots=True)
class WorkOnJobs(Generic[T_co]):
    """A `Work` that names the jobs it changes, directly or by their deliveries. On PostgreSQL they
    are locked beforehand, so that no two batches take locks in opposite orders."""

    work: Callable[[Session, Effects], T_co]
    jobs: tuple[str, ...] = ()
    deliveries: tuple[str, ...] = ()

    def __call__(self, session: Session, effects: Effects) -> T_co:
        return self.work(session, effects)


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """A member's value. Its caller gets it after the commit."""

    value: T


@dataclass(frozen=True, slots=True)
class Failed:
    """A member's error. Nothing of the member was written, except maybe after `OutcomeUnknown`."""

    error: BaseException


Outcome: TypeAlias = Done[T] | Failed


def set_outcome(caller: asyncio.Future[T], outcome: Outcome[T]) -> None:
    """Set the outcome of a waiting caller, unless it was cancelled."""
    if caller.done():
        return
    match outcome:
        case Done(value):
            caller.set_result(value)
        case Failed(error):
            caller.set_exception(error)


class NotBatchable(Exception):
    """Raised by `Batchable.run`: it cannot handle these items in one call."""


@dataclass(frozen=True, slots=True)
class Batchable(Generic[Item, T]):
    """A `Work` that can be grouped: one call runs all of its kind in a batch."""

    run: Callable[[Session, Effects, Sequence[Item]], Sequence[Outcome[T]]]
    """Does the work for several items and returns an outcome for each, in order. It must write
    nothing for an item that failed. When it raises, it is run again with fewer items; with a single
    item, that one fails."""
    item: Item
    jobs: tuple[str, ...] = ()
    """The jobs that it changes (see `WorkOnJobs`)."""

    def __call__(self, session: Session, effects: Effects) -> T:
        (outcome,) = self.run(session, effects, [self.item])
        if isinstance(outcome, Failed):
            raise outcome.error
        return outcome.value


Group: TypeAlias = tuple[list[int], Work[Sequence[Outcome[object]]]]
"""Indexes of members of a batch, and one `Work` that returns the outcomes of all of them."""


def groups(works: Sequence[Work[object]]) -> list[Group]:
    """Group a batch: batchable members of a kind together, every other member by itself."""
    indexes: dict[Hashable, list[int]] = {}
    for index, work in enumerate(works):
        kind = work.run if isinstance(work, Batchable) else index
        indexes.setdefault(kind, []).append(index)
    return [(some, _grouped([works[index] for index in some])) for some in indexes.values()]


def _grouped(works: Sequence[Work[object]]) -> Work[Sequence[Outcome[object]]]:
    first = works[0]
    if isinstance(first, Batchable):
        items = [work.item for work in works if isinstance(work, Batchable)]
        return lambda session, effects: first.run(session, effects, items)
    return lambda session, effects: [Done(first(session, effects))]


class Readers(Protocol):
    """Reads from the database; each read is one snapshot."""

    async def fetch(self, sql: str, parameters: Bound) -> list[Row]:
        """All rows of one statement. Raises `StoreUnavailable`."""
        ...

    async def close(self) -> None: ...
