"""Faults that a service's own process sets up before it starts: SIGKILL at a named step, a wrong
clock. Imports little, since each process that is forked imports it.

A place is `STEP/before/N` or `STEP/after/N`: the Nth time that the step comes. Steps of the store
are transactions: `before` is when all of it is written and COMMIT is next, `after` is when COMMIT
has returned and nobody has been told. The others are calls to the outside: before the first byte,
and after the answer. The product knows nothing of this; the steps are wrapped from here.
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
from receiver.actions import observe_job
from receiver.clock import SystemClock
from receiver.domain.observations import Observation, SubmissionEnded
from receiver.providers.samsar import Samsar
from receiver.webhooks.delivery import WebhookSender
from store.database import Store
from store.records.times import Millis

TRANSACTIONS = [
    ("jobs", "create"),
    ("callbacks", "receive"),
    ("callbacks", "apply"),
    ("deliveries", "lease"),
    ("deliveries", "settle"),
    ("idempotency", "answered"),
]
"""Beside these, each other observation of a job is one, by the name of its class."""

CALLS = [(Samsar, "submit"), (Samsar, "status"), (WebhookSender, "deliver")]

Function = Callable[..., Any]
AsyncFunction = Callable[..., Awaitable[Any]]

_step: ContextVar[str] = ContextVar("step", default="")
"""The transaction that the current task is about to ask the writer for."""


def set_trap(place: str) -> None:
    """Let this process die at that place."""
    _Trap(place).set()


def set_clock(seconds: int) -> None:
    """Let this process's clock be wrong by so many seconds, ahead or behind."""
    right = SystemClock.now

    def now(clock: SystemClock) -> Millis:
        return right(clock) + seconds * 1_000

    SystemClock.now = now  # type: ignore[method-assign, assignment] # for this process


class _Trap:
    """Counts what comes by, and kills at the place that was named."""

    def __init__(self, place: str) -> None:
        step, when, count = place.split("/")
        self._place = (step, when)
        self._left = int(count)
        self._written: list[str] = []
        """Steps in the transaction that is open. Of the writer's thread."""

    def set(self) -> None:
        """Wrap everything that it watches."""
        for kind, name in CALLS:
            _wrap(kind, name, functools.partial(self._around_call, name))
        _wrap(observe_job, "deciding", _naming_the_observation)
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
            for queue in ("urgent", "background"):
                _wrap(vars(store)["_writer"], queue, self._around_writing)
            return store

        return wrapped

    def _around_writing(self, enqueue: Function) -> Function:
        def wrapped(work: Function) -> Any:
            step = _step.get()
            _step.set("")

            def watched(*arguments: Any) -> Any:
                value = work(*arguments)
                # An empty lease (of deliveries, beside the slots that it left) is no step.
                if step and value != [] and not (isinstance(value, tuple) and value[0] == []):
                    self._written.append(step)
                return value

            return enqueue(watched)

        return wrapped

    def _watching(self, connection: Any) -> Any:
        trap = self

        class Connection(connection):  # type: ignore[misc] # whichever it is
            def executescript(self, sql: str, /) -> sqlite3.Cursor:
                trap._written.clear()  # a batch begins
                cursor: sqlite3.Cursor = super().executescript(sql)
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


def _naming_the_observation(deciding: Function) -> Function:
    def wrapped(observation: Observation, *rest: Any) -> Any:
        said = observation.answer if isinstance(observation, SubmissionEnded) else observation
        _step.set(type(said).__name__)
        return deciding(observation, *rest)

    return wrapped
