"""The interface of a worker (one pass of work, and the wait before the next), and its tools."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeAlias

import structlog

from receiver.streams.hub import Hub
from store.contract import Changes
from store.records import Job, Lane, Millis

log = structlog.get_logger()


CallbackAddress: TypeAlias = Callable[[Job], str]
"""Returns the callback URL of a job."""


class Worker(Protocol):
    """A background part of the service. The supervisor runs its loop."""

    name: str

    async def run_once(self) -> int:
        """Do or start the work that is due now; returns how much. Tests call this."""
        ...

    async def idle(self) -> None:
        """Wait until there may be work."""
        ...

    async def stop(self) -> None:
        """Finish the work under way within a few seconds. `run_once` is not called after this."""
        return


class DueTimer:
    """Knows when the next job is due in some lanes, so that the store is not asked before.

    Commits announce when the jobs they changed are due; a pass asks the store for the rest.
    """

    def __init__(self, hub: Hub, *lanes: Lane) -> None:
        self._at: dict[Lane, Millis | None] = dict.fromkeys(lanes, 0)  # there may be leftovers
        self._sooner = asyncio.Event()
        hub.subscribe(self._on_commit)
        for lane in lanes:
            hub.add(("due", lane), self.look_now)

    def look_now(self) -> None:
        """Make a pass due now: there may be due jobs that were not announced."""
        for lane in self._at:
            self.look_at(lane, 0)

    def look_at(self, lane: Lane, at: Millis | None) -> None:
        """Make a pass due at this time, if none is due before."""
        before = self._at[lane]
        if at is not None and (before is None or at < before):
            self._at[lane] = at
            self._sooner.set()

    def is_due(self, lane: Lane, now: Millis) -> bool:
        """Whether a pass is due."""
        at = self._at[lane]
        return at is not None and at <= now

    @contextmanager
    def passing(self, lane: Lane) -> Iterator[None]:
        """Clear the lane's time while a pass finds the next one (`look_at`). A pass that fails is
        repeated."""
        self._at[lane] = None
        try:
            yield
        except BaseException:
            self.look_at(lane, 0)
            raise

    async def wait(self, now: Millis, most: float) -> None:
        """Wait until a pass is due or has been rescheduled, at most `most` seconds."""
        seconds = [max(0.001, (at - now) / 1_000) for at in self._at.values() if at is not None]
        with suppress(TimeoutError):
            async with asyncio.timeout(min([most, *seconds])):
                await self._sooner.wait()
        self._sooner.clear()

    def wake(self) -> None:
        """End the wait: there is other work."""
        self._sooner.set()

    def _on_commit(self, changes: Changes) -> None:
        for lane in self._at:
            self.look_at(lane, changes.due.get(lane))


class TaskPool:
    """A worker's running tasks, limited in number."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._tasks: set[asyncio.Task[None]] = set()
        self._landed = asyncio.Event()

    @property
    def free(self) -> int:
        """How many more tasks may start."""
        return self._most - len(self._tasks)

    def begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` concurrently. It should handle its own errors; others are logged."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._on_end)

    async def wait_any(self) -> None:
        """Wait until one of the tasks ends."""
        self._landed.clear()
        await self._landed.wait()

    async def drain(self, seconds: float | None = None) -> None:
        """Wait for all tasks, at most `seconds`; then cancel the rest and wait for them."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    def _on_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._landed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task of a worker failed", task=task.get_name(), exc_info=error)
