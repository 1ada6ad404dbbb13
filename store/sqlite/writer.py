"""The single writer of a process: what waits is committed together, with one sync of the disk.

While a commit is under way, the next members arrive, so batches grow under load. Each batch has
room for a fixed number of clients' members and of the engine's, so neither waits for all of the
other.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from store.errors import StoreBusy, StoreLocked, StoreUnavailable
from store.session import Work
from store.sqlite.batches import Batch, BatchRunner, Done, Failed, Outcome
from store.writer import BatchReport, OnBatch, Writer, ignore

T = TypeVar("T")

URGENT_MEMBERS = 40
NORMAL_MEMBERS = 16
"""Maximum numbers in a batch."""

MAX_QUEUED = 1_000
"""Members that may wait in each queue; further ones are refused at once."""

RunBatch: TypeAlias = Callable[[Sequence[Work[object]]], Awaitable[Batch]]


class WriterThread:
    """The thread that runs the batches."""

    def __init__(self, runner: BatchRunner) -> None:
        self._runner = runner
        self._executor = ThreadPoolExecutor(1, "store-writer")

    def run(self, works: Sequence[Work[object]]) -> Awaitable[Batch]:
        return asyncio.get_running_loop().run_in_executor(self._executor, self._runner.run, works)

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, self._runner.close)
        self._executor.shutdown()


class _Member(NamedTuple):
    work: Work[object]
    caller: asyncio.Future[Any]


_Queue: TypeAlias = deque[_Member]


class GroupCommitWriter(Writer):
    """Runs one batch after another."""

    def __init__(
        self,
        run: RunBatch,
        on_batch: OnBatch = ignore,
        members: tuple[int, int] = (URGENT_MEMBERS, NORMAL_MEMBERS),
    ) -> None:
        """`run` commits a batch (`WriterThread.run`). `members` are the maximum
        numbers of urgent and of normal members in a batch."""
        super().__init__()
        self._run = run
        self._on_batch = on_batch
        self._members = members
        self._urgent: _Queue = deque()
        self._normal: _Queue = deque()
        self._running: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def full(self) -> bool:
        return len(self._urgent) >= MAX_QUEUED

    def urgent(self, work: Work[T]) -> Awaitable[T]:
        return self._enqueue(self._urgent, work)

    def normal(self, work: Work[T]) -> Awaitable[T]:
        return self._enqueue(self._normal, work)

    async def close(self) -> None:
        self._closed = True
        if self._running is not None:
            await self._running

    def _enqueue(self, queue: _Queue, work: Work[T]) -> Awaitable[T]:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if len(queue) >= MAX_QUEUED:
            raise StoreBusy(f"{len(queue)} writes are waiting")
        caller: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        queue.append(_Member(work, caller))
        if self._running is None:
            # It begins after this iteration of the event loop, whose members share the batch.
            self._running = asyncio.create_task(self._run_batches(), name="store-writer")
        return cast(Awaitable[T], caller)

    async def _run_batches(self) -> None:
        try:
            while members := self._take(*self._members):
                began = time.perf_counter()
                batch = await self._run([member.work for member in members])
                report = BatchReport(len(members), time.perf_counter() - began, self._waiting)
                self._answer(members, batch, report)
        finally:
            self._running = None

    @property
    def _waiting(self) -> int:
        return len(self._urgent) + len(self._normal)

    def _take(self, urgent: int, normal: int) -> list[_Member]:
        return [*_popped(self._urgent, urgent), *_popped(self._normal, normal)]

    def _answer(self, members: list[_Member], batch: Batch, report: BatchReport) -> None:
        try:
            self._on_batch(report)
            self.on_commit(batch.notice)
        finally:
            for member, outcome in zip(members, batch.outcomes, strict=True):
                _set_outcome(member.caller, outcome)
            if isinstance(batch.failure, StoreLocked):
                # Those that wait would wait as long, and then fail too.
                for member in self._take(MAX_QUEUED, MAX_QUEUED):
                    _set_outcome(member.caller, Failed(StoreLocked(*batch.failure.args)))


def _popped(queue: _Queue, most: int) -> list[_Member]:
    return [queue.popleft() for _ in range(min(most, len(queue)))]


def _set_outcome(caller: asyncio.Future[Any], outcome: Outcome) -> None:
    """Set the outcome of a waiting caller, unless it was cancelled."""
    if caller.done():
        return
    match outcome:
        case Done(value):
            caller.set_result(value)
        case Failed(error):
            caller.set_exception(error)
