"""Fan-out: an event is read once and encoded once, and the same bytes go to every reader.

A reader needs no extra task, no queue and no wake-up per event: while it keeps up, its user's
channel writes directly to its connection. A reader that lags leaves the channel, catches up from
the store in its own coroutine at its own pace, and joins again. Nothing is buffered for it here.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import takewhile

from receiver.clock import Clock
from receiver.metrics import Metrics
from receiver.streams import frames
from receiver.streams.frames import Frame
from receiver.streams.hub import Hub, of_user
from receiver.streams.reader import Reader
from store.changes import Changes
from store.database import Store
from store.errors import StoreUnavailable
from store.records import Event

PAGE = 32
"""Events read from the store at once: about what a connection's buffer takes."""
USERS_AT_ONCE = 32
"""Users whose new events are read from the store concurrently."""
MOST_OFFERED = 1_000
"""Events per user buffered here to be pushed; with more, they are read from the store instead."""
RECENT_BYTES = 64 * 1024
"""Recent events that a channel keeps while readers are catching up, so that a reader can join
without a gap between its last read of the log and the join."""
BEAT_SECONDS = 0.05
"""Heartbeats due within this time are sent together."""

_DONE = b'"done":true'
"""Occurs in the event that ends a job, and perhaps in a provider's result: a match only means that
the job itself must be checked."""


class _Channel:
    """One user's new events, and the readers that keep up with them."""

    def __init__(self, position: int) -> None:
        self.position = position
        """All events up to here were pushed, or are older than the channel."""
        self.readers: set[Reader] = set()
        self.members = 0
        """The number of readers, including those catching up; at 0 the channel is removed."""
        self._recent: deque[tuple[Event, Frame]] = deque()
        self._recent_bytes = 0
        self._floor = position
        """Events up to here are no longer in `_recent`."""

    def push(self, event: Event) -> int:
        """Push the event to every reader that wants it; returns how many accepted it."""
        frame = frames.update(event)
        give = self._give
        taken = sum([give(reader, event, frame) for reader in tuple(self.readers)])
        self.position = event.cursor.seq
        self._remember(event, frame)
        return taken

    def join(self, reader: Reader) -> None:
        """Add the reader, if the recent events cover all that it is missing.

        It may not be added, or may be removed again at once: then it must catch up from the store.
        """
        if reader.position < self._floor:
            return
        self.readers.add(reader)
        for event, frame in self._recent:
            if reader in self.readers:
                self._give(reader, event, frame)

    def beat(self, reader: Reader) -> None:
        """Send one reader its heartbeat."""
        if not reader.push(frames.HEARTBEAT):
            self._dismiss(reader)

    def _dismiss(self, reader: Reader) -> None:
        self.readers.discard(reader)
        reader.wake()

    def _give(self, reader: Reader, event: Event, frame: Frame) -> bool:
        """Push one event to one reader; remove it if it lags or its job may be done."""
        if not reader.wants(event):
            return False
        taken = reader.push(frame)
        if taken:
            reader.position = event.cursor.seq
        if not taken or (reader.job_id is not None and _DONE in event.data):
            self._dismiss(reader)
        return taken

    def _remember(self, event: Event, frame: Frame) -> None:
        self._recent.append((event, frame))
        self._recent_bytes += len(frame.body)
        everybody_is_here = self.members == len(self.readers)
        while self._recent and (everybody_is_here or self._recent_bytes > RECENT_BYTES):
            oldest, its_frame = self._recent.popleft()
            self._recent_bytes -= len(its_frame.body)
            self._floor = oldest.cursor.seq


class Broadcast:
    """All channels, with the loops that push events and send heartbeats."""

    def __init__(
        self, store: Store, hub: Hub, metrics: Metrics, clock: Clock, heartbeat: float
    ) -> None:
        """`heartbeat` is the interval between comment lines, in seconds."""
        self._store = store
        self._hub = hub
        self._metrics = metrics
        self._clock = clock
        self._heartbeat = heartbeat
        self._channels: dict[int, _Channel] = {}
        self._listeners: dict[int, Callable[[], None]] = {}
        self._notified: dict[int, float] = {}
        """Users with new events, and since when."""
        self._offered: dict[int, list[Event]] = {}
        """By user: events appended by this process's commits, which need not be read."""
        self._wake = asyncio.Event()
        self._readers: dict[Reader, float] = {}
        """With the time of each reader's next heartbeat, the earliest first."""
        self.closing = False
        """Whether the service is shutting down and streams end."""
        hub.subscribe(self._on_commit)

    def close(self) -> None:
        """End every stream cleanly, including those requested from now on."""
        self.closing = True
        for reader in self._readers:
            reader.end()

    async def pump(self) -> None:
        """Push new events; runs as long as the service."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            notified = [user_id for user_id in self._notified if user_id in self._channels]
            for first in range(0, len(notified), USERS_AT_ONCE):
                some = notified[first : first + USERS_AT_ONCE]
                ends = await asyncio.gather(*map(self._push_new, some), return_exceptions=True)
                for failure in filter(None, ends):
                    raise failure

    async def beat(self) -> None:
        """Send every reader a comment line per heartbeat interval, and end those of revoked keys.

        Each reader's interval starts when it connects, so that a thousand do not make a burst.
        """
        shortest = min(self._heartbeat, BEAT_SECONDS)
        while True:
            now = self._clock.monotonic()
            first = next(iter(self._readers.values()), now + self._heartbeat)
            await self._clock.sleep(max(first - now, shortest))
            due = self._due_for_heartbeat()
            for key_hash in {reader.key_hash for reader in due}:
                key = await self._store.keys.find(key_hash)
                if key is None or key.revoked_at is not None:
                    for reader in due:
                        if reader.key_hash == key_hash:
                            reader.end()
            for reader in due:
                channel = self._channels.get(reader.user_id)
                # A reader that is catching up is being written to anyway.
                if channel is not None and reader in channel.readers:
                    channel.beat(reader)

    async def follow(self, reader: Reader, farewell: Callable[[], Awaitable[bytes | None]]) -> None:
        """Write every event after the reader's position, until the stream ends.

        `farewell` returns the final bytes of a stream that is complete, and None while there may be
        more events. It is called before each read of the log, so all events are written before
        those bytes. Raises TimeoutError if the client has read nothing for too long.
        """
        self._expect_heartbeat(reader)
        self._metrics.streams_open.inc()
        try:
            channel = await self._enter(reader.user_id)
            try:
                await self._follow(reader, channel, farewell)
            finally:
                self._leave(reader, channel)
        finally:
            self._metrics.streams_open.dec()
            del self._readers[reader]

    async def _follow(
        self, reader: Reader, channel: _Channel, farewell: Callable[[], Awaitable[bytes | None]]
    ) -> None:
        while not self._is_over(reader):
            # An empty write waits until the client can take bytes, before any are read for it.
            await reader.write(b"")
            pushed = channel.position
            last_words = await farewell()
            if await self._catch_up(reader, pushed):
                continue
            # The log was read after `pushed`, so nothing is missing up to there.
            reader.position = max(reader.position, pushed)
            if last_words is not None:
                await reader.write(last_words)
                return
            channel.join(reader)
            if reader in channel.readers and not self._is_over(reader):
                await reader.woken()
            channel.readers.discard(reader)

    def _is_over(self, reader: Reader) -> bool:
        return reader.ended or self.closing

    def _expect_heartbeat(self, reader: Reader) -> None:
        self._readers.pop(reader, None)
        self._readers[reader] = self._clock.monotonic() + self._heartbeat

    def _due_for_heartbeat(self) -> list[Reader]:
        """The readers due for a heartbeat; each one's next is scheduled."""
        now = self._clock.monotonic()
        due = list(takewhile(lambda reader: self._readers[reader] <= now, self._readers))
        for reader in due:
            self._expect_heartbeat(reader)
        return due

    async def _catch_up(self, reader: Reader, pushed: int) -> bool:
        """Write as much of the log's next page as the client takes now; returns whether there may
        be more up to `pushed`.

        The rest is dropped and read again later: a stalled reader keeps no page in memory.
        """
        if reader.job_id is not None:
            # Always read: the job may be done before its last event is pushed.
            page = await self._store.events.after_for_job(reader.job_id, reader.position, PAGE)
        elif reader.position < pushed:
            page = await self._store.events.after_for_user(reader.user_id, reader.position, PAGE)
        else:
            return False
        for event in page:
            if not reader.push(frames.update(event)):
                break
            reader.position = event.cursor.seq
            self._metrics.stream_events.inc()
        return bool(page) and (reader.job_id is not None or reader.position < pushed)

    async def _enter(self, user_id: int) -> _Channel:
        while user_id not in self._channels:
            # Subscribe before reading the position, so that no commit in between is missed.
            listener = self._listen(user_id)
            position = await self._store.events.latest_seq(user_id)
            # Meanwhile another reader may have opened the channel, or closed it with its listener.
            if user_id not in self._channels and self._listeners.get(user_id) is listener:
                self._channels[user_id] = _Channel(position)
                self._wake.set()
        channel = self._channels[user_id]
        channel.members += 1
        return channel

    def _listen(self, user_id: int) -> Callable[[], None]:
        if user_id not in self._listeners:
            self._listeners[user_id] = partial(self._notify, user_id)
            self._hub.add(of_user(user_id), self._listeners[user_id])
        return self._listeners[user_id]

    def _leave(self, reader: Reader, channel: _Channel) -> None:
        channel.readers.discard(reader)
        channel.members -= 1
        if channel.members == 0:
            del self._channels[reader.user_id]
            self._hub.remove(of_user(reader.user_id), self._listeners.pop(reader.user_id))
            self._notified.pop(reader.user_id, None)
            self._offered.pop(reader.user_id, None)

    def _notify(self, user_id: int) -> None:
        self._notified.setdefault(user_id, self._clock.monotonic())
        self._wake.set()

    async def _push_new(self, user_id: int) -> None:
        """Push the log's events after the position of the user's channel."""
        channel, notified_at = self._channels.get(user_id), self._notified.pop(user_id, None)
        # Batches that commit at the same time are announced in any order.
        offered = sorted(self._offered.pop(user_id, ()), key=lambda event: event.cursor.seq)
        if channel is None or notified_at is None:
            return
        if _follow_on(channel.position, offered):
            self._push(channel, offered, notified_at)
            return
        try:
            while page := await self._store.events.after_for_user(user_id, channel.position, PAGE):
                self._push(channel, page, notified_at)
        except StoreUnavailable:
            self._notify(user_id)
            raise

    def _push(self, channel: _Channel, events: Sequence[Event], notified_at: float) -> None:
        for event in events:
            if event.cursor.seq > channel.position and (written := channel.push(event)):
                self._metrics.stream_events.inc(written)
                self._metrics.stream_lag.observe(self._clock.monotonic() - notified_at)

    def _on_commit(self, changes: Changes) -> None:
        for user_id, events in changes.appended.items():
            if user_id in self._channels:
                offered = self._offered.setdefault(user_id, [])
                if len(offered) > MOST_OFFERED:
                    offered.clear()  # the gap is detected, and the store is read
                offered.extend(events)


def _follow_on(position: int, events: Sequence[Event]) -> bool:
    """Whether these ordered events continue from the position without a gap."""
    if not events:
        return False
    first, last = events[0].cursor.seq, events[-1].cursor.seq
    return first <= position + 1 and last - first == len(events) - 1
