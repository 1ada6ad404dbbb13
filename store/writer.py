"""The writer's interface: it runs units of work, each as a whole or not at all."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from store.changes import CommitNotice
from store.session import Session

T = TypeVar("T")

Work: TypeAlias = Callable[[Session, CommitNotice], T]
"""A unit of work: it writes within the open transaction, adds what subscribers have to know to the
notice, and returns the value for its caller. When it raises, all of its writes are rolled back, and
nobody else's. It must neither commit nor block, and it may be run again after a rollback.

On PostgreSQL, transactions run at the same time, and each locks in one order: lanes, jobs by their
ids, then users by theirs (`CommitNotice.write_last`). One that changes a job locks it first
(`lock-job`)."""

Scope: TypeAlias = str | int | None
"""What a unit of work changes: one job (its id), one user's log by a new job (the user's number),
or something else (None). Work on jobs and users can share a transaction with others' anywhere."""

MAX_WAITING = 1_000
"""Units of work that may wait in each queue; further ones are refused at once."""


@dataclass(frozen=True, slots=True)
class BatchReport:
    """One transaction, for the metrics."""

    members: int
    """Its units of work."""
    seconds: float
    """From its start to the end of its commit."""
    waiting: int
    """Units of work that were waiting when it ended."""


OnBatch: TypeAlias = Callable[[BatchReport], None]


def ignore(_: object) -> None:
    """The callback when there is no subscriber."""


class Writer(ABC):
    """Runs units of work. Used in one event loop. Cancelling a caller does not cancel its work."""

    def __init__(self) -> None:
        self.on_commit: Callable[[CommitNotice], None] = ignore
        """Called after each commit, before its callers continue."""

    @property
    @abstractmethod
    def full(self) -> bool:
        """Whether the next urgent work would be refused."""

    @abstractmethod
    def urgent(self, work: Work[T], scope: Scope = None) -> Awaitable[T]:
        """Run work that a client waits for. `scope` is what it changes. Raises `StoreUnavailable`,
        of that `StoreBusy` at once if too much is waiting, and what the work raises."""

    @abstractmethod
    def normal(self, work: Work[T], scope: Scope = None) -> Awaitable[T]:
        """Run other work: neither kind waits for all of the other. Raises as `urgent` does."""

    @abstractmethod
    async def close(self) -> None:
        """Finish the waiting work and stop."""
