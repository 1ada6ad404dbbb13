"""Group commit: units of work that wait at the same time share one transaction, and one commit.

While a commit is under way, the next members arrive, so batches grow under load. At light loads,
syncs and waking the thread would be a third of the CPU of a job: so the first member after a pause
may wait a moment for others. Each batch has room for a fixed number of clients' members and of the
engine's, so neither waits for all of the other.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, TypeAlias, TypeVar, cast

from store.changes import CommitNotice
from store.errors import StoreBusy, StoreLocked, StoreUnavailable
from store.session import Session
from store.writer import MAX_WAITING, BatchReport, OnBatch, Scope, Work, Writer, ignore

T = TypeVar("T")

URGENT_MEMBERS = 40
NORMAL_MEMBERS = 16
"""Maximum numbers in a batch."""


@dataclass(slots=True)
class Member:
    """A unit of work in a batch, and what has become of it."""

    work: Work[object]
    scope: Scope = None
    value: object = None
    """For its caller, after the commit."""
    error: Exception | None = None
    """Why it failed alone."""
    notice: CommitNotice = field(default_factory=CommitNotice)

    def begin(self, session: Session) -> None:
        """Do all but the last writes. It may be called again after a rollback."""
        self.error, self.notice = None, CommitNotice()
        self.value = self.work(session, self.notice)

    def run(self, session: Session) -> None:
        """Do the whole work."""
        self.begin(session)
        for _, write in sorted(self.notice.last, key=itemgetter(0)):
            write(session)

    def fail(self, error: Exception) -> None:
        """It was rolled back alone."""
        self.error, self.notice = error, CommitNotice()


RunBatch: TypeAlias = Callable[[Sequence[Member]], Awaitable[CommitNotice]]
_Waiting: TypeAlias = tuple[Member, asyncio.Future[Any]]
"""A member, and the future of its caller."""
_Queue: TypeAlias = deque[_Waiting]


class GroupCommitWriter(Writer):
    """Runs batches, one after another in each runner."""

    def __init__(
        self,
        run: RunBatch,
        on_batch: OnBatch = ignore,
        members: tuple[int, int] = (URGENT_MEMBERS, NORMAL_MEMBERS),
        delay: float = 0.0,
        runners: int = 1,
    ) -> None:
        """`run` commits a batch; it is called by up to `runners` at the same time. `members` are
        the maximum numbers of urgent and of normal members in a batch. `delay`, in seconds, is how
        long the first member after a pause waits for others; at 0, those of the same iteration of
        the event loop share its batch."""
        super().__init__()
        self._run = run
        self._on_batch = on_batch
        self._members = members
        self._delay = delay
        self._urgent: _Queue = deque()
        self._normal: _Queue = deque()
        self._most_runners = runners
        self._runners: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def full(self) -> bool:
        return len(self._urgent) >= MAX_WAITING

    @property
    def waiting(self) -> int:
        """Members that no batch has taken yet."""
        return len(self._urgent) + len(self._normal)

    def urgent(self, work: Work[T], scope: Scope = None) -> Awaitable[T]:
        return self._enqueue(self._urgent, work, scope)

    def normal(self, work: Work[T], scope: Scope = None) -> Awaitable[T]:
        return self._enqueue(self._normal, work, scope)

    async def close(self) -> None:
        self._closed = True
        await asyncio.gather(*self._runners)

    def _enqueue(self, queue: _Queue, work: Work[T], scope: Scope) -> Awaitable[T]:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if len(queue) >= MAX_WAITING:
            raise StoreBusy(f"{len(queue)} writes are waiting")
        caller: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        queue.append((Member(work, scope), caller))
        if len(self._runners) < self._most_runners:
            self._runners.add(asyncio.create_task(self._run_batches(), name="store-writer"))
        return cast(Awaitable[T], caller)

    async def _run_batches(self) -> None:
        try:
            await asyncio.sleep(self._delay)
            while taken := self._take(*self._members):
                await self._run_batch(taken)
        finally:
            self._runners.discard(cast(asyncio.Task[None], asyncio.current_task()))

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
        try:
            self._on_batch(BatchReport(len(taken), time.perf_counter() - began, self.waiting))
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
