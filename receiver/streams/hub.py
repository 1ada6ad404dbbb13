"""A doorbell: it says that something is new, and carries no data.

The store rings it after each commit. Whoever hears it reads what is new from the store, so a ring
that is lost (a cancelled task, another process) costs latency and never an event; `ring_all` is for
the slow safety poll that stands behind it.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import TypeAlias

from store.contract import Changes
from store.records import Lane


class Queue(Enum):
    """What is waited for, beside jobs, users and the lanes of what is due."""

    INBOX = "inbox"
    RELAY = "relay"
    STOP = "stop"
    """Rings once, when the service begins to shut down."""


Topic: TypeAlias = Hashable
Listener: TypeAlias = Callable[[], None]


def of_job(job_id: str) -> Topic:
    """Rings when the job changes."""
    return ("job", job_id)


def of_user(user_id: int) -> Topic:
    """Rings when the user's event log grows."""
    return ("user", user_id)


class Bell:
    """One listener's bell: a ring is remembered until it is waited for."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, seconds: float | None) -> bool:
        """Wait for a ring, at most so long; whether there was one."""
        try:
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True


class Hub:
    """Who listens for what."""

    def __init__(self) -> None:
        self._listeners: dict[Topic, set[Listener]] = {}

    def announce(self, changes: Changes) -> None:
        """Ring for what a commit changed."""
        for job_id in changes.jobs:
            self._ring(of_job(job_id))
        for user_id in changes.users:
            self._ring(of_user(user_id))
        for lane in changes.due:
            self._ring(lane)
        if changes.inbox:
            self._ring(Queue.INBOX)
        if changes.relay:
            self._ring(Queue.RELAY)

    def ring_stop(self) -> None:
        """The service shuts down: whoever holds an answer gives it."""
        self._ring(Queue.STOP)

    def ring_all(self) -> None:
        """Ring for everything: something has changed, and nobody said what."""
        for topic in list(self._listeners):
            self._ring(topic)

    def add(self, topic: Topic, listener: Listener) -> None:
        """Call `listener` at each ring for the topic; it must not block or raise."""
        self._listeners.setdefault(topic, set()).add(listener)

    def remove(self, topic: Topic, listener: Listener) -> None:
        """No longer call it."""
        listeners = self._listeners.get(topic)
        if listeners is not None:
            listeners.discard(listener)
            if not listeners:
                del self._listeners[topic]

    def lasting_bell(self, *topics: Topic | Lane | Queue) -> Bell:
        """A bell for these topics as long as the hub lives."""
        bell = Bell()
        for topic in topics:
            self.add(topic, bell.ring)
        return bell

    @contextmanager
    def bell(self, *topics: Topic | Lane | Queue) -> Iterator[Bell]:
        """A bell for these topics while the block lasts."""
        bell = Bell()
        for topic in topics:
            self.add(topic, bell.ring)
        try:
            yield bell
        finally:
            for topic in topics:
                self.remove(topic, bell.ring)

    def _ring(self, topic: Topic) -> None:
        for listener in tuple(self._listeners.get(topic, ())):
            listener()
