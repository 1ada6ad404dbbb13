"""The single writer of a process: what waits is committed together, with one sync of the disk.

While a commit is under way, the next members arrive, so batches grow under load. At light loads,
syncs and waking the thread would be a third of the CPU of a job: so the first member after a pause
may wait a moment for others. Each batch has room for a fixed number of clients' members and of the
engine's, so neither waits for all of the other.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import Any, TypeAlias, TypeVar, cast

from store.changes import CommitNotice
from store.errors import StoreBusy, StoreLocked, StoreUnavailable
from store.session import Work
from store.sqlite.batches import BatchRunner, Member
from store.writer import MAX_WAITING, BatchReport, OnBatch, Writer, ignore

T = TypeVar("T")

URGENT_MEMBERS = 40
NORMAL_MEMBERS = 16
"""Maximum numbers in a batch."""

RunBatch: TypeAlias = Callable[[Sequence[Member]], Awaitable[CommitNotice]]
_Waiting: TypeAlias = tuple[Member, asyncio.Future[Any]]
"""A member, and the future of its caller."""
_Queue: TypeAlias = deque[_Waiting]


class WriterThread:
    """The thread that runs the batches."""

    def __init__(self, runner: BatchRunner) -> None:
        self._runner = runner
        self._executor = ThreadPoolExecutor(1, "store-writer")

    def run(self, members: Sequence[Member]) -> Awaitable[CommitNotice]:
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._executor, self._runner.run, members)

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, self._runner.close)
        self._executor.shutdown()


class GroupCommitWriter(Writer):
    """Runs one batch after another."""

    def __init__(
        self,
        run: RunBatch,
        on_batch: OnBatch = ignore,
        members: tuple[int, int] = (URGENT_MEMBERS, NORMAL_MEMBERS),
        delay: float = 0.0,
    ) -> None:
        """`run` commits a batch (`WriterThread.run`). `members` are the maximum
        numbers of urgent and of normal members in a batch. `delay`, in seconds, is how long the
        first member after a pause waits for others; at 0, those of the same iteration of the event
        loop share its batch."""
        super().__init__()
        self._run = run
        self._on_batch = on_batch
        self._members = members
        self._delay = delay
        self._urgent: _Queue = deque()
        self._normal: _Queue = deque()
        self._running: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def full(self) -> bool:
        return len(self._urgent) >= MAX_WAITING

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
        if len(queue) >= MAX_WAITING:
            raise StoreBusy(f"{len(queue)} writes are waiting")
        caller: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        queue.append((Member(work), caller))
        if self._running is None:
            self._running = asyncio.create_task(self._run_batches(), name="store-writer")
        return cast(Awaitable[T], caller)

    async def _run_batches(self) -> None:
        try:
            await asyncio.sleep(self._delay)
            while taken := self._take(*self._members):
                await self._run_batch(taken)
        finally:
            self._running = None

    def _take(self, urgent: int, normal: int) -> list[_Waiting]:
        return [*_popped(self._urgent, urgent), *_popped(self._normal, normal)]

    async def _run_batch(self, taken: list[_Waiting]) -> None:
        began = time.perf_counter()
        notice = CommitNotice()
        try:
            notice = await self._run([member for member, _ in taken])
        except Exception as error:  # noqa: BLE001 - every member's caller must get it
            if isinstance(error, StoreLocked):
                # Those that wait would wait as long, and then fail too.
                taken += self._take(MAX_WAITING, MAX_WAITING)
            for member, _ in taken:
                member.error = copy(error)  # each caller raises its own, in a task of its own
        waiting = len(self._urgent) + len(self._normal)
        try:
            self._on_batch(BatchReport(len(taken), time.perf_counter() - began, waiting))
            self.on_commit(notice)
        finally:
            for member, caller in taken:
                _answer(caller, member)


def _popped(queue: _Queue, most: int) -> list[_Waiting]:
    return [queue.popleft() for _ in range(min(most, len(queue)))]


def _answer(caller: asyncio.Future[Any], member: Member) -> None:
    if caller.done():  # it was cancelled
        return
    if member.error is not None:
        caller.set_exception(member.error)
    else:
        caller.set_result(member.value)
