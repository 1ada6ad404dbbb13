"""Notifications within the process: they say that something changed, and carry no data.

The store announces each commit. Subscribers read the changes from the store, so a lost notification
(a cancelled task, another process) costs latency but never an event. Only commit listeners get the
commit's `Changes`, with its new events. `notify_all` is called when another process has committed.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import TypeAlias

from store.changes import Changes


class FixedTopic(Enum):
    """Topics besides jobs and lanes. Only `notify_all` notifies STREAMS and lanes: commit listeners
    learn from `Changes` which events are new and when jobs are due."""

    RELAY = "relay"
    STREAMS = "streams"
    STOP = "stop"
    """Notified when the service begins to shut down, so that waiting requests are answered. As
    `notify_all` notifies it too, subscribers must check whether the service is stopping."""


Topic: TypeAlias = str | FixedTopic
"""The id of a job, a `FixedTopic`, or a `Lane` with work that may be due."""
Listener: TypeAlias = Callable[[], None]


class Subscription:
    """Remembers a notification until `wait` is called."""

    def __init__(self) -> None:
        self._notified = asyncio.Event()

    def notify(self) -> None:
        self._notified.set()

    async def wait(self, seconds: float | None) -> bool:
        """Wait at most `seconds` for a notification; returns whether there was one."""
        try:
            async with asyncio.timeout(seconds):
                await self._notified.wait()
        except TimeoutError:
            return False
        self._notified.clear()
        return True


class Hub:
    """The listeners of each topic."""

    def __init__(self) -> None:
        self._listeners: dict[Topic, dict[Listener, None]] = {}
        self._commit_listeners: list[Callable[[Changes], None]] = []

    def add_commit_listener(self, listener: Callable[[Changes], None]) -> None:
        """Call `listener` with the changes of each commit of this process, before listeners are
        notified; it must not block or raise."""
        self._commit_listeners.append(listener)

    def announce(self, changes: Changes) -> None:
        """Notify listeners of a commit's changes."""
        for listener in self._commit_listeners:
            listener(changes)
        for job_id in changes.jobs:
            self.notify(job_id)
        if changes.relay:
            self.notify(FixedTopic.RELAY)

    def notify(self, topic: Topic) -> None:
        """Call the topic's listeners, in the order in which they were added."""
        for listener in tuple(self._listeners.get(topic, ())):
            listener()

    def notify_all(self) -> None:
        """Notify every topic: something has changed, but it is unknown what."""
        for topic in list(self._listeners):
            self.notify(topic)

    def add_listener(self, topic: Topic, listener: Listener) -> None:
        """Call `listener` for each notification of the topic; it must not block or raise."""
        self._listeners.setdefault(topic, {})[listener] = None

    def remove_listener(self, topic: Topic, listener: Listener) -> None:
        """Stop calling `listener` for the topic."""
        listeners = self._listeners.get(topic)
        if listeners is not None:
            listeners.pop(listener, None)
            if not listeners:
                del self._listeners[topic]

    @contextmanager
    def subscribed(self, *topics: Topic) -> Iterator[Subscription]:
        """A subscription to these topics for the duration of the block."""
        subscription = Subscription()
        for topic in topics:
            self.add_listener(topic, subscription.notify)
        try:
            yield subscription
        finally:
            for topic in topics:
                self.remove_listener(topic, subscription.notify)
