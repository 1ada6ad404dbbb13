"""An event loop without a clock, sockets or threads: time is just a number.

When nothing is ready the loop jumps to its next timer, so a virtual hour costs only what happens in
it. Every task belongs to a `Process`, or to the world around it. The callbacks of a dead process
never run again: it stops at the very `await` where it was, and no `except` or `finally` of it runs,
exactly as after `kill -9`. The callbacks of a stalled process run late.

Callbacks run first in, first out, as asyncio promises. What varies is time: the hops to the
store's threads, the network and the users take as long as the seeded randomness says.
"""

import asyncio
import heapq
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from contextvars import Context, copy_context
from typing import IO, Any, TypeVar, TypeVarTuple, cast

from tests.simulation.process import PROCESS, Killed, Process, current_process

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

NEVER = float("inf")
"""Connects a protocol. Raises `OSError`."""


class _NumberedTask(asyncio.Task[Any]):
    """Hashed by its number, so that sets of tasks have the same order in each run."""

    def __init__(self, number: int, coro: Any, **options: Any) -> None:
        self._number = number
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(asyncio.BaseEventLoop):
    """See the module."""

    def __init__(self) -> None:
        self._running = False
        super().__init__()
        self.horizon: Callable[[], float] | None = None
        """When nothing is ready, it returns the moment before which nothing can be due anywhere:
        the loop skips the ticks before it."""
        self.steps = 0
        """Callbacks run so far."""
        self.at_step: dict[int, Callable[[], None]] = {}
        """Called just before this callback runs: a crash at any `await`."""
        self.stopped_by: BaseException | None = None
        """If set, the run ends with this exception."""
        self.world_context = copy_context()
        """The context of everything that belongs to no process."""
        self._now = 0.0
        self._count = 0
        self._tasks_made = 0
        self._handles: deque[tuple[Process | None, asyncio.Handle]] = deque()
        self._timers: list[tuple[float, int, Process | None, asyncio.Handle]] = []
        self._fixed: list[float] = []
        """Moments that a skip does not pass: timers of the world, and hops to threads."""
        self._processes: list[Process] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self._opened: list[Callable[[], None]] = []
        """Close files and connections, as the system does when a process dies."""

    # --- running ----------------------------------------------------------------------------------

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run `main` in the world until it returns."""
        asyncio.set_event_loop(None)
        asyncio._set_running_loop(self)
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(finalizer=self._finalize)
        self._running = True
        try:
            task = self.create_task(main)
            while not task.done():
                self._run_one()
                if self.stopped_by is not None:
                    raise self.stopped_by
            result: T = task.result()
            return result
        finally:
            self._running = False
            sys.set_asyncgen_hooks(*hooks)
            asyncio._set_running_loop(None)

    def _run_one(self) -> None:
        if not self._handles:
            self._advance()
        process, handle = self._handles.popleft()
        if handle.cancelled() or (process is not None and process.dead):
            return
        if process is not None and process.stalled_until > self._now:
            self._put_off(process, handle)
            return
        self.steps += 1
        if (happening := self.at_step.pop(self.steps, None)) is not None:
            happening()
            if process is not None and process.dead:
                return
        handle._run()

    def _advance(self) -> None:
        """Jump to the next timer whose process is alive, or skip ticks that would find nothing."""
        self._drop_dead_timers()
        if not self._timers:
            raise RuntimeError("everything waits, and nothing will ever come")
        when = self._timers[0][0]
        fixed = self._fixed
        while fixed and fixed[0] < when:
            heapq.heappop(fixed)
        if self.horizon is not None and (not fixed or fixed[0] > when):
            until = min([self.horizon(), *fixed[:1]])
            when = max(when, until) if until < NEVER else when
        self._now = max(self._now, when)
        while self._timers and self._timers[0][0] <= self._now:
            _, _, process, handle = heapq.heappop(self._timers)
            self._handles.append((process, handle))
        if not self._handles:
            self._advance()

    def _drop_dead_timers(self) -> None:
        timers = self._timers
        while timers and (timers[0][3].cancelled() or (timers[0][2] and timers[0][2].dead)):
            heapq.heappop(timers)

    def _put_off(self, process: Process, handle: asyncio.Handle) -> None:
        self._count += 1
        heapq.heappush(self._timers, (process.stalled_until, self._count, process, handle))

    # --- processes --------------------------------------------------------------------------------

    def new_process(self, name: str) -> Process:
        process = Process(name)
        self._processes.append(process)
        return process

    def begin(self, process: Process, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in the process, beside everything else."""
        self.spawn(process, work).add_done_callback(self._end, context=self.world_context)

    def spawn(self, process: Process, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Create a task of the process; the tasks that it creates belong to the process too."""
        context = copy_context()
        context.run(PROCESS.set, process)
        return self.create_task(work, context=context)

    def _end(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, Killed):
            self.stopped_by = self.stopped_by or error

    def _finalize(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Close a generator that was not read to its end, as asyncio does."""
        if self._running:
            _ = self.create_task(generator.aclose())

    def end_all(self) -> None:
        """At the end, close every coroutine that was left suspended, without errors."""
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(finalizer=self._finalize)
        asyncio._set_running_loop(self)
        for process in self._processes:
            process.dead = True
        self._handles.clear()
        self._timers.clear()
        for task in self._tasks:
            if not task.done():
                work = cast(Coroutine[Any, Any, Any], task.get_coro())
                # Its process is dead: whatever its `finally` awaits or starts fails.
                with suppress(Exception, Killed):
                    work.close()
        for close in self._opened:
            close()
        asyncio._set_running_loop(None)
        sys.set_asyncgen_hooks(*hooks)

    # --- what asyncio asks of a loop --------------------------------------------------------------

    def time(self) -> float:
        return self._now

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return not self._running

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        context = copy_context() if context is None else context
        handle = asyncio.Handle(callback, args, self, context)
        self._handles.append((context.get(PROCESS), handle))
        return handle

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Any = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Any = None
    ) -> asyncio.TimerHandle:
        context = copy_context() if context is None else context
        if context.get(PROCESS) is None:
            heapq.heappush(self._fixed, when)
        return self._add_timer(when, callback, *args, context=context)

    def hop(self, delay: float, callback: Callable[..., object], *args: Any) -> None:
        """`call_later` for work that is under way: no skip passes this moment."""
        handle = self.call_later(delay, callback, *args)
        heapq.heappush(self._fixed, handle.when())

    async def exact_sleep(self, seconds: float) -> None:
        """Sleep as work that is under way: no skip passes the end."""
        over = self.create_future()
        self.hop(seconds, settle, over)
        await over

    async def arrival(self, seconds: float) -> None:
        """Wait for an event of the world, which happens even if the waiting process dies."""
        await self.arrival_at(self._now + seconds)

    async def arrival_at(self, moment: float) -> None:
        """`arrival` at a moment of the loop's time."""
        arrived = self.create_future()
        self.call_at(moment, settle, arrived, context=self.world_context)
        await arrived

    async def tick(self, seconds: float) -> None:
        """Wait between two looks of somebody in the world; skips may pass this moment."""
        ticked = self.create_future()
        self._add_timer(self._now + seconds, settle, ticked, context=self.world_context)
        await ticked

    def _add_timer(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, context.get(PROCESS), handle))
        return handle

    def run_in_executor(
        self, executor: Any, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run a thread's work as one step, after a pause."""
        future: asyncio.Future[T] = self.create_future()
        process = current_process()
        if process is None:
            raise AssertionError("only processes have threads")

        def work() -> None:
            try:
                outcome = func(*args)
            except Exception as error:  # noqa: BLE001 - it belongs to the one who awaits the thread
                if not future.done():
                    future.set_exception(error)
            else:
                if hasattr(outcome, "fileno"):
                    self._opened.append(cast(IO[bytes], outcome).close)
                if not future.done():
                    future.set_result(outcome)
            process.after_thread()

        self.hop(process.pause(), work)
        return future

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers stay in the heap until their moment."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Any, *, name: object = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        if not self._running:
            coro.close()
            raise Killed
        self._tasks_made += 1
        task = _NumberedTask(self._tasks_made, coro, loop=self, context=context)
        if name is not None:
            task.set_name(name)
        self._tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, Killed) and self._running and self.stopped_by is None:
            self.stopped_by = error or RuntimeError(str(context))


def settle(future: asyncio.Future[None]) -> None:
    """Resolve a future, unless it was cancelled."""
    if not future.done():
        future.set_result(None)


def running_loop() -> VirtualLoop:
    """The running loop."""
    return cast(VirtualLoop, asyncio.get_running_loop())
