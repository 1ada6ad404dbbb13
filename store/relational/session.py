"""What a SQL backend gives to the code that all share: a transaction, and one-statement reads."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from store.contract import Changes
from store.records import Millis

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)

Row: TypeAlias = tuple[Any, ...]
Parameters: TypeAlias = Mapping[str, object]


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


class Readers(Protocol):
    """Reads from the database, each read the state of one moment."""

    async def fetch(self, sql: str, parameters: Parameters) -> list[Row]:
        """All rows of one statement. Raises `StoreUnavailable`."""
        ...

    async def close(self) -> None: ...
