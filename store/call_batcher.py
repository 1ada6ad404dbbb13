"""Runs the calls of one event-loop iteration together.

A statement's overhead exceeds the cost of most rows: SQLite's driver releases the GIL several times
in each, and its thread then waits for the event loop to get it back; PostgreSQL needs a round trip.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from store.session import Failed, Outcome, set_outcome

T = TypeVar("T")
Item = TypeVar("Item")


class CallBatcher(Generic[Item, T]):
    """A function of one item whose calls are run in batches."""

    def __init__(
        self, run: Callable[[Sequence[Item]], Awaitable[Sequence[Outcome[T]]]], most: int
    ) -> None:
        """`run` returns an outcome for each of at most `most` items, in order. When it raises, all
        of their callers get that error."""
        self._run = run
        self._most = most
        self._waiting: list[tuple[Item, asyncio.Future[T]]] = []
        self._running: set[asyncio.Task[None]] = set()

    def __call__(self, item: Item) -> Awaitable[T]:
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._begin)
        caller: asyncio.Future[T] = loop.create_future()
        self._waiting.append((item, caller))
        return caller

    async def finish(self) -> None:
        """Wait for the batches under way; a call of the current iteration may be in none yet."""
        await asyncio.gather(*self._running)

    def _begin(self) -> None:
        waiting, self._waiting = self._waiting, []
        for first in range(0, len(waiting), self._most):
            task = asyncio.create_task(self._answer(waiting[first : first + self._most]))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _answer(self, calls: Sequence[tuple[Item, asyncio.Future[T]]]) -> None:
        outcomes: Sequence[Outcome[T]]
        try:
            outcomes = await self._run([item for item, _ in calls])
        except Exception as error:  # noqa: BLE001 - every caller must get an outcome
            outcomes = [Failed(error) for _ in calls]
        for (_, caller), outcome in zip(calls, outcomes, strict=True):
            set_outcome(caller, outcome)
