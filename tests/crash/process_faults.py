"""Faults that are set up inside the service's process before it starts: SIGKILL at a named step, or
a wrong clock. Imports little, since each forked process imports it.

A place is `STEP/before/N` or `STEP/after/N`: the Nth time that the step occurs. Steps of the store
are transactions: `before` is when all of it is written and COMMIT is next, `after` is when COMMIT
has returned and no caller was told. The other steps are calls to the outside: before the first
byte, and after the answer. The service's code knows nothing of this; this module wraps the steps.
"""

import functools
import os
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import receiver.app
import store.sqlite.connection
from receiver.clock import SystemClock
from receiver.domain.observations import Observation, SubmissionEnded
from receiver.engine import observe_job
from receiver.providers.samsar import Samsar
from receiver.webhooks.delivery import WebhookSender
from store.database import Store
from store.records.times import Millis

TRANSACTIONS = [
    ("jobs", "create"),
    ("callbacks", "receive"),
    ("deliveries", "lease"),
    ("deliveries", "settle"),
    ("idempotency", "store_response"),
]
"""Besides these, each other observation of a job is a step, named after its class."""

CALLS = [(Samsar, "submit"), (Samsar, "status"), (WebhookSender, "deliver")]

Function = Callable[..., Any]
AsyncFunction = Callable[..., Awaitable[Any]]

_step: ContextVar[str] = ContextVar("step", default="")
"""The transaction that the current task is about to pass to the writer."""


def set_trap(place: str) -> None:
    """Kill this process at that place."""
    _Trap(place).set()


def set_clock(seconds: int) -> None:
    """Shift this process's clock by this many seconds, ahead or back."""
    right = SystemClock.now

    def now(clock: SystemClock) -> Millis:
        return right(clock) + seconds * 1_000

    SystemClock.now = now  # type: ignore[method-assign, assignment] # for this process


class _Trap:
    """Counts the steps, and kills the process at the named place."""

    def __init__(self, place: str) -> None:
        step, when, count = place.split("/")
        self._place = (step, when)
        self._left = int(count)
        self._written: list[str] = []
        """Steps in the open transaction. Used by the writer's thread only."""

    def set(self) -> None:
        """Wrap every step."""
        for kind, name in CALLS:
            _wrap(kind, name, functools.partial(self._around_call, name))
        _wrap(observe_job, "decider", _naming_the_observation)
        _wrap(receiver.app, "open_store", self._around_opening)
        _wrap(store.sqlite.connection, "Connection", self._watching)

    def passes(self, step: str, when: str) -> None:
        if (step, when) == self._place:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def commits(self, when: str) -> None:
        for step in self._written:
            self.passes(step, when)

    def _around_call(self, name: str, call: AsyncFunction) -> AsyncFunction:
        async def wrapped(*arguments: Any, **named: Any) -> Any:
            self.passes(name, "before")
            answer = await call(*arguments, **named)
            self.passes(name, "after")
            return answer

        return wrapped

    def _around_opening(self, open_store: AsyncFunction) -> AsyncFunction:
        async def wrapped(*arguments: Any, **named: Any) -> Store:
            store: Store = await open_store(*arguments, **named)
            for part, name in TRANSACTIONS:
                _wrap(getattr(store, part), name, functools.partial(_naming_the_step, name))
            for queue in ("urgent", "normal"):
                _wrap(vars(store)["_writer"], queue, self._around_writing)
            return store

        return wrapped

    def _around_writing(self, enqueue: Function) -> Function:
        def wrapped(work: Function) -> Any:
            step = _step.get()
            _step.set("")

            def watched(*arguments: Any) -> Any:
                value = work(*arguments)
                # An empty lease (for deliveries, one whose first part is empty) is no step.
                if step and value != [] and not (isinstance(value, tuple) and value[0] == []):
                    self._written.append(step)
                return value

            return enqueue(watched)

        return wrapped

    def _watching(self, connection: Any) -> Any:
        trap = self

        class Connection(connection):  # type: ignore[misc] # whichever it is
            def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
                if sql == "BEGIN IMMEDIATE":
                    trap._written.clear()  # a batch begins
                cursor: sqlite3.Cursor = super().execute(sql, *parameters)
                return cursor

            def commit(self) -> None:
                trap.commits("before")
                super().commit()
                trap.commits("after")

        return Connection


def _wrap(owner: object, name: str, around: Callable[[Function], Function]) -> None:
    setattr(owner, name, around(getattr(owner, name)))


def _naming_the_step(name: str, transaction: AsyncFunction) -> AsyncFunction:
    async def wrapped(*arguments: Any, **named: Any) -> Any:
        _step.set(name)
        return await transaction(*arguments, **named)

    return wrapped


def _naming_the_observation(decider: Function) -> Function:
    def wrapped(observation: Observation, *rest: Any) -> Any:
        ended = observation.answer if isinstance(observation, SubmissionEnded) else observation
        _step.set(type(ended).__name__)
        return decider(observation, *rest)

    return wrapped
