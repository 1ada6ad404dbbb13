"""What a worker is: one pass of work, and the wait before the next."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

import structlog

log = structlog.get_logger()


class Worker(Protocol):
    """A part of the service that works by itself. Its loop is the supervisor's."""

    name: str

    async def run_once(self) -> int:
        """Do, or begin, what is there to do now; how much that was. Tests call this."""
        ...

    async def idle(self) -> None:
        """Wait until there may be something to do."""
        ...

    async def stop(self) -> None:
        """End what is under way, within a few seconds. `run_once` is not called after this."""
        ...


class Flight:
    """Tasks that a worker has begun and not ended, no more than so many at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._tasks: set[asyncio.Task[None]] = set()
        self._landed = asyncio.Event()

    @property
    def free(self) -> int:
        """How many more may begin."""
        return self._most - len(self._tasks)

    def begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` beside the others. It has to deal with its own errors; one that gets out is
        logged."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._land)

    async def landing(self) -> None:
        """Wait until one of them ends."""
        self._landed.clear()
        await self._landed.wait()

    async def drain(self, seconds: float | None = None) -> None:
        """Wait for all of them, at most so long; then cancel the rest and wait for that."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    def _land(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._landed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task of a worker failed", task=task.get_name(), exc_info=error)
