"""The single writer of a process: a thread that runs the queued writes in batches.

Usually a batch is one transaction; on PostgreSQL, one that fails is run again in parts. A client's
write starts a batch at once, together with background work that is waiting. Background work alone
waits for `LINGER` for other work, because each commit is a sync. During a commit, members of the
next batch arrive, so batches grow under load. Clients' writes go first; background work gets a
share of the time (batch_sizer.py).
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Literal, NamedTuple, Protocol, TypeAlias, TypeVar, cast, get_args

from store.batch_sizer import BatchSizer, reserved_for_bulk
from store.changes import Changes
from store.errors import StoreBusy, StoreLocked, StoreUnavailable
from store.session import Failed, Outcome, Work, set_outcome

T = TypeVar("T")

MAX_QUEUED = 2_000
"""Members that may wait in each queue; further ones are refused at once."""

MAX_QUEUE_SECONDS = 1.0
"""Seconds that the last in a queue may have to wait, estimated from the previous batch: a slow disk
shortens the queue. The member's own batch is not counted."""

LINGER = 0.004
"""Seconds that background work waits for other work to share its commit."""

CLOSING_TIME = 30.0
"""Seconds that closing waits for the queued writes."""


@dataclass(frozen=True, slots=True)
class BatchReport:
    """One batch, for the metrics."""

    members: int
    seconds: float
    """From the start of the batch, which may have to connect first, to the end of its last
    commit."""
    waiting: int
    """Members queued when it ended."""


OnBatch: TypeAlias = Callable[[BatchReport], None]


def ignore(_: object) -> None:
    """The callback when there is no subscriber."""


class Batch(NamedTuple):
    """The result of one batch."""

    outcomes: list[Outcome[object]]
    """One for each member, in order."""
    changes: Changes
    """The committed changes; empty if it failed."""
    seconds: tuple[float, float] = (0.0, 0.0)
    """Time of the urgent and of the background members; zeros if the batch failed on SQLite. On
    PostgreSQL these are shares of the total, with begin and commit."""
    blocked: StoreLocked | None = None
    """Set if the whole database is locked: queued work would wait as long, and then fail too."""


class Runner(Protocol):
    """Runs batches, in the writer's thread."""

    def run(self, urgent: Sequence[Work[object]], background: Sequence[Work[object]] = ()) -> Batch:
        """Run all of them, the urgent ones first, and commit: in one transaction, or in several if
        one of them fails it."""
        ...

    def close(self) -> None: ...


Kind: TypeAlias = Literal["urgent", "normal", "bulk"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Writer(ABC):
    """Runs queued work on the database, grouped into transactions."""

    def __init__(self) -> None:
        self.on_change: Callable[[Changes], None] = ignore
        """Called after each batch with what it committed, before the callers continue."""

    @property
    @abstractmethod
    def full(self) -> bool:
        """Whether the next urgent work would be refused."""

    def urgent(self, work: Work[T]) -> Awaitable[T]:
        """Run work that a client waits for. Raises `StoreUnavailable` and what the work raises."""
        return self._enqueue("urgent", work)

    def normal(self, work: Work[T]) -> Awaitable[T]:
        """Run a step of a job, or other work that is neither urgent nor bulk, after urgent work.
        Raises as `urgent` does."""
        return self._enqueue("normal", work)

    def bulk(self, work: Work[T]) -> Awaitable[T]:
        """Run bulk work that decides no job: progress, removing old data, and retrying many
        deliveries. It gets a share of the background members. Raises as `urgent` does."""
        return self._enqueue("bulk", work)

    @abstractmethod
    def _enqueue(self, kind: Kind, work: Work[T]) -> Awaitable[T]: ...

    @abstractmethod
    async def close(self) -> None:
        """Finish the queued work and stop."""


@dataclass(frozen=True, slots=True)
class _Member:
    work: Work[object]
    caller: asyncio.Future[object]
    since: float
    """When it was enqueued, by `time.monotonic`."""


class ThreadedWriter(Writer):
    """The writer of a running service. Create and use it in one event loop."""

    def __init__(self, runner: Runner, on_batch: OnBatch = ignore) -> None:
        super().__init__()
        self._runner = runner
        self._on_batch = on_batch
        self._loop = asyncio.get_running_loop()
        self._queues: dict[Kind, deque[_Member]] = {kind: deque() for kind in KINDS}
        self._arrival = Condition()
        self._is_due = False
        """Whether the thread may begin a batch with what is queued."""
        self._wake_handle: asyncio.Handle | None = None
        self._wake_timer: asyncio.TimerHandle | None = None
        self._batch_seconds = 0.0
        self._batch_sizer = BatchSizer()
        self._closing = False
        self._ended = asyncio.Event()
        # A daemon, so that the process can exit even if the store was not closed. A transaction
        # under way is then rolled back, as after a kill.
        self._thread = Thread(target=self._serve, name="store-writer", daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        return self._is_full(self._queues["urgent"])

    def _enqueue(self, kind: Kind, work: Work[T]) -> Awaitable[T]:
        queue = self._queues[kind]
        if self._closing:
            raise StoreUnavailable("the store is closed")
        if self._is_full(queue):
            raise StoreBusy(f"{len(queue)} writes are waiting")
        # Cancelling this future only ends the caller's wait: the member stays queued, and runs.
        caller: asyncio.Future[object] = self._loop.create_future()
        queue.append(_Member(work, caller, time.monotonic()))
        # One wake-up for all members of this event-loop iteration: they can share a batch, and the
        # lock is taken once.
        if kind == "urgent":
            self._wake_handle = self._wake_handle or self._loop.call_soon(self._wake)
        elif self._wake_timer is None:
            self._wake_timer = self._loop.call_later(LINGER, self._wake)
        return cast(Awaitable[T], caller)

    def _is_full(self, queue: deque[_Member]) -> bool:
        batches_before = len(queue) // self._batch_sizer.urgent_members
        return len(queue) >= MAX_QUEUED or batches_before * self._batch_seconds > MAX_QUEUE_SECONDS

    def _wake(self) -> None:
        for handle in (self._wake_handle, self._wake_timer):
            if handle is not None:
                handle.cancel()
        self._wake_handle = self._wake_timer = None
        with self._arrival:
            self._is_due = True
            self._arrival.notify()

    async def close(self) -> None:
        with self._arrival:
            self._closing = True
            self._arrival.notify()
        try:
            async with asyncio.timeout(CLOSING_TIME):
                await self._ended.wait()
        except TimeoutError as error:
            raise StoreUnavailable("the last writes did not end in time") from error
        self._thread.join()

    # --- in the thread ------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            while any(members := self._next_batch()) or not self._closing:
                if any(members):
                    self._run(*members)
            self._runner.close()
        finally:
            self._in_loop(self._ended.set)

    def _run(self, urgent: list[_Member], background: list[_Member]) -> None:
        began = time.perf_counter()
        batch = self._runner.run(
            [member.work for member in urgent], [member.work for member in background]
        )
        seconds = self._batch_seconds = time.perf_counter() - began
        self._batch_sizer.record(len(urgent), len(background), batch.seconds)
        members, outcomes = urgent + background, batch.outcomes
        if batch.blocked is not None:
            queued_members = [
                member for queue in self._queues.values() for member in _take(queue, MAX_QUEUED)
            ]
            members += queued_members
            outcomes += [Failed(copy(batch.blocked)) for _ in queued_members]
        report = BatchReport(len(members), seconds, waiting=sum(map(len, self._queues.values())))
        self._in_loop(self._answer, members, outcomes, batch.changes, report)

    def _next_batch(self) -> tuple[list[_Member], list[_Member]]:
        """Wait for work, then take the next urgent and background members, up to their limits. Both
        are empty if nothing is queued (when closing, or after `Batch.blocked`)."""
        with self._arrival:
            while not (self._is_due or self._closing):
                self._arrival.wait()
            steps, bulk = self._queues["normal"], self._queues["bulk"]
            urgent = _take(self._queues["urgent"], self._batch_sizer.urgent_members)
            oldest = [queue[0].since for queue in (steps, bulk) if queue]
            waited = time.monotonic() - min(oldest) if oldest else 0.0
            most = self._batch_sizer.background_members(len(urgent), waited)
            background = _take(steps, most - reserved_for_bulk(most, len(bulk)))
            background += _take(bulk, most - len(background))
            self._is_due = any(self._queues.values())
            return urgent, background

    def _in_loop(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            # The loop is closed: no caller is waiting any more.
            self._closing = True

    # --- in the event loop --------------------------------------------------------------------

    def _answer(
        self,
        batch: list[_Member],
        outcomes: list[Outcome[object]],
        changes: Changes,
        report: BatchReport,
    ) -> None:
        try:
            self._on_batch(report)
            self.on_change(changes)
        finally:
            for member, outcome in zip(batch, outcomes, strict=True):
                set_outcome(member.caller, outcome)


def _take(queue: deque[T], most: int) -> list[T]:
    return [queue.popleft() for _ in range(min(most, len(queue)))]
