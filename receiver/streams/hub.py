"""Notifications within the process: they say that something changed, and carry no data.

The store announces each commit. Subscribers read the changes from the store, so a lost notification
(a cancelled task, another process) costs latency but never an event. Only commit listeners get the
`CommitNotice`, with its new events. `notify_all` is called when another process has committed.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from store.changes import CommitNotice

STOP: Final = "stop"
"""The topic that is notified when the service begins to shut down, so that waiting requests are
answered. As `notify_all` notifies it too, subscribers must check whether the service is stopping.
The other topics are the ids of jobs."""


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
    """The listeners, and the subscriptions to each topic."""

    def __init__(self) -> None:
        self._commit_listeners: list[Callable[[CommitNotice], None]] = []
        self._foreign_listeners: list[Callable[[], None]] = []
        self._subscriptions: dict[str, dict[Subscription, None]] = {}

    def add_commit_listener(self, listener: Callable[[CommitNotice], None]) -> None:
        """Call `listener` with the changes of each commit of this process, before subscribers are
        notified; it must not block or raise."""
        self._commit_listeners.append(listener)

    def add_foreign_listener(self, listener: Callable[[], None]) -> None:
        """Call `listener` when another process has committed; it must not block or raise."""
        self._foreign_listeners.append(listener)

    def announce(self, changes: CommitNotice) -> None:
        """Notify of a commit's changes."""
        for listener in self._commit_listeners:
            listener(changes)
        for job_id in changes.jobs:
            self.notify(job_id)

    def notify(self, topic: str) -> None:
        """Notify the topic's subscriptions."""
        for subscription in self._subscriptions.get(topic, ()):
            subscription.notify()

    def notify_all(self) -> None:
        """Notify everybody: something has changed, but it is unknown what."""
        for listener in self._foreign_listeners:
            listener()
        for topic in self._subscriptions:
            self.notify(topic)

    @contextmanager
    def subscribed(self, *topics: str) -> Iterator[Subscription]:
        """A subscription to these topics for the duration of the block."""
        subscription = Subscription()
        for topic in topics:
            self._subscriptions.setdefault(topic, {})[subscription] = None
        try:
            yield subscription
        finally:
            for topic in topics:
                del self._subscriptions[topic][subscription]
                if not self._subscriptions[topic]:
                    del self._subscriptions[topic]
