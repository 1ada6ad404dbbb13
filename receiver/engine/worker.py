"""The interface of a worker (one pass of work, and the wait before the next), and its tools."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Protocol, TypeAlias, TypeVarTuple

import structlog

from receiver.clock import Clock
from receiver.domain.fair_queue import FairQueue
from receiver.engine.context import ServiceContext
from receiver.streams.hub import Hub, Subscription
from store.backlogs import Backlog
from store.changes import CommitNotice
from store.errors import StoreUnavailable
from store.records.jobs import Job
from store.records.times import Lane, Lease, Millis

MAX_IDLE_SECONDS = 1.0
"""How long a worker that leases due jobs waits at most before its next pass, unless it has no free
slot."""
LEASE_SLACK: Millis = 15_000
"""How much longer a lease lasts than the longest attempt that it covers."""
STORE_RETRY_SECONDS = 1.0
LOOK_AGAIN: Millis = 1_000
"""How long a worker waits before it tries again to lease due jobs that another process has."""

log = structlog.get_logger()

Ts = TypeVarTuple("Ts")


CallbackAddress: TypeAlias = Callable[[Job], str]
"""Returns the callback URL of a job."""


class Worker(Protocol):
    """A background part of the service. The supervisor runs its loop."""

    name: str

    async def run_once(self) -> int:
        """Do or start work that is due now. Returns how much; after 0 the loop calls `idle`."""
        ...

    async def idle(self) -> None:
        """Wait until there may be work."""
        ...

    async def stop(self) -> None:
        """Finish the work under way within a few seconds. `run_once` is not called after this."""
        return


class DueTimer:
    """Leases jobs that are due in some lanes, without querying the store before any can be due.

    Each commit announces when the jobs that it changed are due. For all others, each pass asks the
    store when the next one is due.
    """

    def __init__(self, services: ServiceContext, hub: Hub, *lanes: Lane) -> None:
        self._services = services
        self._at: dict[Lane, Millis | None] = dict.fromkeys(lanes, 0)  # there may be leftovers
        self._turns = {lane: FairQueue[Backlog, Backlog](1) for lane in lanes}
        self.wake = Subscription()
        """Ends the wait: a pass was rescheduled, or there is other work."""
        hub.add_commit_listener(self._on_commit)
        hub.add_foreign_listener(self._look_now)

    @asynccontextmanager
    async def leased(self, lane: Lane, length: Millis, most: int) -> AsyncIterator[list[Job]]:
        """One pass: lease at most `most` due jobs for `length` milliseconds, users round-robin. The
        block starts them; if it raises, the pass is repeated."""
        now, backlogs = self._services.clock.now(), self._services.store.backlogs
        if most <= 0 or not self.is_due(lane):
            yield []
            return
        with self.one_pass(lane):
            due, jobs = await backlogs.due(lane, now), list[Job]()
            self.schedule_pass(lane, due.next_at)
            if shares := _shares(self._turns[lane], due.backlogs, most):
                lease = Lease(self._services.holder, now + length)
                jobs = await backlogs.lease(lane, shares, now, lease)
                # There may be more. If none could be leased, another process was faster.
                self.schedule_pass(lane, now if jobs else now + LOOK_AGAIN)
            yield jobs

    @contextmanager
    def one_pass(self, lane: Lane) -> Iterator[None]:
        """Run one pass in the block, which schedules the next. If the block raises, a pass is due
        at once."""
        self._at[lane] = None
        try:
            yield
        except BaseException:
            self.schedule_pass(lane, 0)
            raise

    def schedule_pass(self, lane: Lane, at: Millis | None) -> None:
        """Schedule a pass at this time, unless an earlier one is scheduled."""
        before = self._at[lane]
        if at is not None and (before is None or at < before):
            self._at[lane] = at
            self.wake.notify()

    def is_due(self, lane: Lane) -> bool:
        """Whether a pass is due."""
        at = self._at[lane]
        return at is not None and at <= self._services.clock.now()

    async def wait(self, most: float) -> None:
        """Wait until a pass is due or has been rescheduled, or `wake` is notified, at most `most`
        seconds."""
        now = self._services.clock.now()
        seconds = [max(0.001, (at - now) / 1_000) for at in self._at.values() if at is not None]
        await self.wake.wait(min([most, *seconds]))

    def _look_now(self) -> None:
        """Schedule all passes now: something has changed, and it is unknown what."""
        for lane in self._at:
            self.schedule_pass(lane, 0)

    def _on_commit(self, changes: CommitNotice) -> None:
        for lane in self._at:
            self.schedule_pass(lane, changes.due.get(lane))


def _shares(
    turns: FairQueue[Backlog, Backlog], due: Sequence[Backlog], most: int
) -> Counter[Backlog]:
    """How many jobs to lease from each backlog: round-robin by user, continuing the last pass."""
    still = {*due}
    turns.remove(lambda backlog: backlog not in still)
    for backlog in due:
        turns.add(backlog.user_id, backlog, backlog)
    shares = Counter[Backlog]()
    for _ in range(most):
        if (next_one := turns.take()) is not None:
            shares[next_one] += 1
            turns.give_back(next_one.user_id)
            turns.add(next_one.user_id, next_one, next_one)
    return shares


class TaskPool:
    """A worker's running tasks. `begin` does not enforce the limit: check `free` before it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._tasks: set[asyncio.Task[None]] = set()
        self._names: set[str] = set()
        self._ended = asyncio.Event()

    @property
    def free(self) -> int:
        """How many more tasks may start."""
        return self._most - len(self._tasks)

    def is_running(self, name: str) -> bool:
        """Whether a task of this name is running. Check this before starting leased work: after a
        suspension longer than its lease, a process may lease work that it is still doing."""
        return name in self._names

    def begin(self, name: str, work: Callable[[*Ts], Awaitable[None]], *args: *Ts) -> None:
        """Run `work(*args)` concurrently; its errors are logged."""
        self._names.add(name)
        task = asyncio.create_task(self._run(name, work, args), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._on_end)

    async def wait_any(self) -> None:
        """Wait until one of the tasks ends."""
        self._ended.clear()
        await self._ended.wait()

    async def drain(self, seconds: float | None = None) -> None:
        """Wait for all tasks, at most `seconds`; then cancel the rest and wait for them."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    async def _run(
        self, name: str, work: Callable[[*Ts], Awaitable[None]], args: tuple[*Ts]
    ) -> None:
        try:
            await work(*args)
        except StoreUnavailable as error:
            log.warning("a task could not use the store", task=name, reason=str(error))
        except Exception as error:
            # Nobody awaits the task, so the error would be lost.
            log.error("a worker's task failed", task=name, exc_info=error)
        finally:
            # Not in `_on_end`, which runs later: work leased in between would seem to be running.
            self._names.discard(name)

    def _on_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._ended.set()


async def until_stored(clock: Clock, what: str, write: Callable[[], Awaitable[object]]) -> None:
    """Retry a write until the store takes it; `what` names it in the log."""
    while True:
        try:
            await write()
            return
        except StoreUnavailable as error:
            log.warning("a result could not be stored; retrying", result=what, reason=str(error))
            await clock.sleep(STORE_RETRY_SECONDS)
