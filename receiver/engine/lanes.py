"""The engine: all that is due waits in the store, in lanes. A lane's worker takes what is due,
users in turn, and handles each in a task of its own.

A commit announces what becomes due by it, and when; commits of other processes are noticed once a
second. All that is kept in memory is the time of the next look, and what is under way.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

import structlog

from receiver.clock import Clock
from receiver.engine.supervisor import RETRY_SECONDS, Worker
from receiver.streams.hub import Hub, Subscription
from store.changes import CommitNotice
from store.errors import StoreUnavailable
from store.lanes import START, Choose, Found, Look
from store.records.times import Lane, Millis


class Work(Protocol):
    """What a lane's worker has taken."""

    @property
    def id(self) -> str: ...


W = TypeVar("W", bound=Work)
T = TypeVar("T")

LEASE_SLACK: Final[Millis] = 15_000
"""How much longer a lease lasts than the longest call that it covers."""
MAX_IDLE_SECONDS: Final = 1.0
"""How long a worker waits at most before it compares the clock again: somebody may have set it."""

log = structlog.get_logger()


class LaneTimer:
    """A lane of the store, as seen by its worker: when to look, and where the last look stopped."""

    def __init__(
        self, clock: Clock, hub: Hub, lane: Lane, limits: Mapping[str, int] | None = None
    ) -> None:
        """`limits`: the maximum number of jobs in flight by provider."""
        self.lane = lane
        self.at: Millis | None = 0  # an earlier process may have left something
        """When to look."""
        self.has_more = False
        """Whether the last look left due work, for want of a slot."""
        self.wake = Subscription()
        """Notified when the next look comes earlier."""
        self._clock = clock
        self._limits = limits or {}
        self._bookmark = START
        hub.add_commit_listener(self._on_commit)
        hub.add_foreign_listener(lambda: self.look_at(0))

    @property
    def is_due(self) -> bool:
        return self.at is not None and self.at <= self._clock.now()

    def look_at(self, at: Millis) -> None:
        """Look at this time, or earlier if that is planned already."""
        if self.at is None or at < self.at:
            self.at = at
            self.wake.notify()

    def look_after(self, seconds: float) -> None:
        """The same, in so many seconds."""
        self.look_at(self._clock.now() + max(1, round(seconds * 1_000)))

    async def look(
        self, take: Callable[[Look], Awaitable[Found[T]]], most: int, choose: Choose
    ) -> Found[T]:
        """Take at most `most` of what is due and chosen, and plan the next look."""
        look = Look(self.lane, self._clock.now(), most, choose, self._bookmark, self._limits)
        self.at = None
        self.has_more = True  # a task that ends during the look may have held up what it leaves
        try:
            found = await take(look)
        except BaseException:
            self.look_at(0)
            raise
        self._bookmark, self.has_more = found.bookmark, found.has_more
        if found.bookmark != START or len(found.taken) >= most:
            self.look_at(0)
        elif found.next_at is not None:
            self.look_at(found.next_at)
        return found

    def _on_commit(self, notice: CommitNotice) -> None:
        if (at := notice.due.get(self.lane)) is not None:
            self.look_at(at)


class Handler(ABC, Generic[W]):
    """What a lane's worker does with its work."""

    name: ClassVar[str]
    drain_seconds: ClassVar[float] = 0.0
    """How long work under way may go on at a shutdown, before it is cancelled."""
    stopping = False
    """Whether nothing new may begin."""

    def __init__(self, slots: int, timers: Sequence[LaneTimer]) -> None:
        """`slots`: how many works are handled at once."""
        self.slots = slots
        self.timers = timers

    @abstractmethod
    async def take(self, free: int, running: Mapping[str, W]) -> Sequence[W]:
        """Take at most `free` works that are due, for this process alone. `running` are those under
        way, by id; none of them may be taken again, although its lease may have ended."""

    @abstractmethod
    async def handle(self, work: W) -> None:
        """Do the work and store its result."""

    async def release(self, works: Sequence[W]) -> None:
        """Give back what was cancelled at a shutdown, so that another process need not wait."""
        return


class LaneWorker(Worker, Generic[W]):
    """Runs a handler: `run_once` takes what is due while slots are free."""

    def __init__(self, handler: Handler[W], clock: Clock) -> None:
        self.name = handler.name
        self._handler = handler
        self._clock = clock
        self._running: dict[str, W] = {}
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._wake = Subscription()
        for timer in handler.timers:
            timer.wake = self._wake

    async def run_once(self) -> int:
        """Take what is due and begin to handle it; returns how many."""
        free = self._handler.slots - len(self._running)
        if self._handler.stopping or free <= 0 or not self._is_due():
            return 0
        try:
            # It goes on at a shutdown: what has been taken must be ended by its handler.
            count = await asyncio.shield(self._spawn("take", self._take(free)))
        except asyncio.CancelledError:
            self._handler.stopping = True
            raise
        if count:
            await asyncio.sleep(0)  # they begin, and what they take from a rate limit counts
        return count

    async def idle(self) -> None:
        """Wait until it is time to look, and a slot is free."""
        seconds = MAX_IDLE_SECONDS
        if len(self._running) < self._handler.slots:
            now = self._clock.now()
            due = [
                (timer.at - now) / 1_000 for timer in self._handler.timers if timer.at is not None
            ]
            seconds = max(0.001, min([seconds, *due]))
        await self._wake.wait(seconds)

    async def stop(self) -> None:
        """Begin nothing more; give what is under way some time, then cancel it."""
        self._handler.stopping = True
        with suppress(TimeoutError):
            await asyncio.wait_for(self.finish(), self._handler.drain_seconds)
        if late := [*self._tasks]:
            works = [*self._running.values()]
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            await self._handler.release(works)

    async def finish(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _is_due(self) -> bool:
        return any(timer.is_due for timer in self._handler.timers)

    def _spawn(self, what: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name=f"{self.name} {what}")
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    async def _take(self, free: int) -> int:
        works = await self._handler.take(free, self._running)
        for work in works:
            self._running[work.id] = work
            _ = self._spawn(work.id, self._run(work))
        return len(works)

    async def _run(self, work: W) -> None:
        try:
            await self._handler.handle(work)
        except StoreUnavailable as error:
            log.warning("a task could not use the store", task=work.id, reason=str(error))
        except Exception as error:
            # Nobody awaits the task, so the error would be lost.
            log.error("a task failed", lane=self.name, task=work.id, exc_info=error)
        finally:
            del self._running[work.id]
            for timer in self._handler.timers:
                if timer.has_more:
                    timer.look_at(0)
            self._wake.notify()


async def retry_until_stored(
    clock: Clock, what: str, write: Callable[[], Awaitable[object]]
) -> None:
    """Retry a write until the store takes it; `what` names it in the log."""
    while True:
        try:
            await write()
            return
        except StoreUnavailable as error:
            log.warning("a result could not be stored; retrying", result=what, reason=str(error))
            await clock.sleep(RETRY_SECONDS)
