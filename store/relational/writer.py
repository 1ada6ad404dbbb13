"""The one writer of a process: a thread, two queues, and one transaction for whatever waits.

No timer gathers a batch: while one commits, the next one's members arrive. So a batch is one member
when little happens, and hundreds when much does, which then share the cost of one sync. What a
client waits for goes first; background work always gets a few places, so that it never starves.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Generic, Protocol, TypeAlias, TypeVar, cast

from store.contract import Changes
from store.errors import StoreBusy, StoreLocked, StoreUnavailable
from store.relational.session import Failed, Outcome, Session, Work, tell

T = TypeVar("T")
S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)

URGENT_PLACES = 256
"""Members of a batch that clients wait for, at most."""

BACKGROUND_PLACES = 2
"""Members of background work in a batch, at most, while clients wait."""

IDLE_BACKGROUND_PLACES = 64
"""The same while no client waits: few enough that one who comes then waits for milliseconds."""

RUSH = 8
"""So many urgent members in a batch are a rush: their clients come back in a moment."""

RUSH_ENDS = 0.05
"""Seconds without such a batch after which a rush is over."""

RUSH_GAP = 0.1
"""Seconds between the turns of background work in a rush. To apply a callback takes ten times as
long as to accept one, a turn of it as long as several batches; and what is on disk can wait."""

LONGEST_QUEUE = 2_000
"""Members that may wait in each queue; the next one is refused at once."""

LONGEST_WAIT = 2.0
"""Seconds that the last of a queue may have to wait, going by the batch before: a disk that has
become slow shortens the queue. The batch that it will be in is not counted."""

CLOSING_TIME = 30.0
"""Seconds that closing waits for what is queued."""


class Writer(Protocol):
    """Runs works on the database, in transactions that it shares out as it sees fit."""

    on_change: Callable[[Changes], None]
    """Rung after each commit, before its callers go on."""

    @property
    def full(self) -> bool:
        """Whether the next work that a client waits for would be refused."""
        ...

    def urgent(self, work: Work[Session, T]) -> Awaitable[T]:
        """Run what a client waits for. Raises `StoreUnavailable` and whatever the work raises."""
        ...

    def background(self, work: Work[Session, T]) -> Awaitable[T]:
        """Run what nobody outside waits for, after what is urgent. Raises as `urgent` does."""
        ...

    async def close(self) -> None:
        """Finish what is queued, and end."""
        ...


@dataclass(frozen=True, slots=True)
class BatchReport:
    """One batch, for the metrics."""

    members: int
    seconds: float
    """From the transaction's begin to the end of its commit."""
    waiting: int
    """Members that were queued when it ended."""


OnBatch: TypeAlias = Callable[[BatchReport], None]


def ignore(_: object) -> None:
    """Rung where nobody listens."""


class Runner(Protocol[S_co]):
    """Runs batches, in the writer's thread."""

    def run(self, works: Sequence[Work[S_co, object]]) -> tuple[list[Outcome[object]], Changes]:
        """Run all of them and commit: an outcome for each, in order, and what changed on disk."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Member(Generic[S]):
    work: Work[S, object]
    caller: asyncio.Future[object]


class ThreadedWriter(Generic[S]):
    """The writer of a running service. Made and used in one event loop."""

    def __init__(self, runner: Runner[S], on_batch: OnBatch = ignore) -> None:
        self.on_change: Callable[[Changes], None] = ignore
        self._runner = runner
        self._on_batch = on_batch
        self._loop = asyncio.get_running_loop()
        self._urgent: deque[_Member[S]] = deque()
        self._background: deque[_Member[S]] = deque()
        self._arrival = Condition()
        self._knocking = False
        self._batch_seconds = 0.0
        self._rush_until = 0.0
        self._turn_from = 0.0
        self._closing = False
        self._ended = asyncio.Event()
        # A daemon, so that a process whose owner forgot to close the store can still exit. What it
        # cuts off then is a transaction under way, which is rolled back as after a kill.
        self._thread = Thread(target=self._serve, name="store-writer", daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        return self._is_full(self._urgent)

    def urgent(self, work: Work[S, T]) -> Awaitable[T]:
        return self._enqueue(self._urgent, work)

    def background(self, work: Work[S, T]) -> Awaitable[T]:
        return self._enqueue(self._background, work)

    def _enqueue(self, queue: deque[_Member[S]], work: Work[S, T]) -> Awaitable[T]:
        if self._closing:
            raise StoreUnavailable("the store is closed")
        if self._is_full(queue):
            raise StoreBusy(f"{len(queue)} writes are waiting")
        # The future belongs to the caller alone: cancelling it leaves the member in its batch.
        caller: asyncio.Future[object] = self._loop.create_future()
        queue.append(_Member(work, caller))
        # One knock for all that this turn of the loop brings: they share a batch, and the lock is
        # taken once.
        if not self._knocking:
            self._knocking = True
            self._loop.call_soon(self._knock)
        return cast(Awaitable[T], caller)

    def _is_full(self, queue: deque[_Member[S]]) -> bool:
        batches_before = len(queue) // URGENT_PLACES
        return len(queue) >= LONGEST_QUEUE or batches_before * self._batch_seconds > LONGEST_WAIT

    def _knock(self) -> None:
        self._knocking = False
        with self._arrival:
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
            while batch := self._next_batch():
                began = time.perf_counter()
                outcomes, changes = self._runner.run([member.work for member in batch])
                seconds = self._batch_seconds = time.perf_counter() - began
                if isinstance(outcomes[0], Failed) and isinstance(outcomes[0].error, StoreLocked):
                    # Who came meanwhile would wait for the same lock as long again.
                    late = [
                        *_take(self._urgent, LONGEST_QUEUE),
                        *_take(self._background, LONGEST_QUEUE),
                    ]
                    batch += late
                    outcomes += [Failed(StoreLocked(str(outcomes[0].error))) for _ in late]
                report = BatchReport(len(batch), seconds, len(self._urgent) + len(self._background))
                self._in_loop(self._answer, batch, outcomes, changes, report)
            self._runner.close()
        finally:
            self._in_loop(self._ended.set)

    def _next_batch(self) -> list[_Member[S]]:
        """Whatever waits, up to its places; empty at the end."""
        with self._arrival:
            while not (self._urgent or self._closing):
                pause = self._turn_from - time.monotonic()
                if self._background and pause <= 0:
                    break
                self._arrival.wait(pause if self._background else None)
            batch = _take(self._urgent, URGENT_PLACES)
            now = time.monotonic()
            if len(batch) >= RUSH:
                self._rush_until = now + RUSH_ENDS
            if now >= self._rush_until or self._closing:
                places = BACKGROUND_PLACES if batch else IDLE_BACKGROUND_PLACES
            elif now >= self._turn_from:
                places = BACKGROUND_PLACES
                self._turn_from = now + RUSH_GAP
            else:
                places = 0
            return batch + _take(self._background, places)

    def _in_loop(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            # The loop is closed: nobody waits for an answer any more.
            self._closing = True

    # --- in the event loop --------------------------------------------------------------------

    def _answer(
        self,
        batch: list[_Member[S]],
        outcomes: list[Outcome[object]],
        changes: Changes,
        report: BatchReport,
    ) -> None:
        try:
            self._on_batch(report)
            self.on_change(changes)
        finally:
            for member, outcome in zip(batch, outcomes, strict=True):
                tell(member.caller, outcome)


def _take(queue: deque[T], places: int) -> list[T]:
    return [queue.popleft() for _ in range(min(places, len(queue)))]
