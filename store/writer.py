"""The writer's interface: it runs units of work, each as a whole or not at all."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from store.changes import CommitNotice
from store.session import Work

T = TypeVar("T")

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
    def urgent(self, work: Work[T]) -> Awaitable[T]:
        """Run work that a client waits for. Raises `StoreUnavailable`, of that `StoreBusy` at once
        if too much is waiting, and what the work raises."""

    @abstractmethod
    def normal(self, work: Work[T]) -> Awaitable[T]:
        """Run other work: neither kind waits for all of the other. Raises as `urgent` does."""

    @abstractmethod
    async def close(self) -> None:
        """Finish the waiting work and stop."""
