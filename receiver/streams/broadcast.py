"""Fan-out: an event is read once and encoded once, and the same bytes go to every reader.

A reader needs no extra task, no queue and no wake-up per event: while it keeps up, its user's
channel writes directly to its connection. A reader that lags leaves the channel, catches up from
the store in its own coroutine at its own pace, and joins again. Nothing is buffered for it here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import takewhile

from receiver.clock import Clock
from receiver.metrics import Metrics
from receiver.streams import frames
from receiver.streams.channel import Channel
from receiver.streams.hub import Hub, of_user
from receiver.streams.reader import Reader
from store.changes import Changes
from store.database import Store
from store.errors import StoreUnavailable
from store.records.events import Event

PAGE = 32
"""Events read from the store at once: about what a connection's buffer takes."""
USERS_AT_ONCE = 32
"""Users whose new events are read from the store concurrently."""
BEAT_SECONDS = 0.05
"""Heartbeats due within this time are sent together."""


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
        self._channels: dict[int, Channel] = {}
        """By user."""
        self._notified: dict[Channel, float] = {}
        """Channels with new events, and since when."""
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
            notified = [channel for channel in self._notified if channel.is_open]
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
            channel = self._enter(reader.user_id)
            try:
                if not channel.is_open:
                    # Read after subscribing to the hub, so that no commit in between is missed.
                    channel.open(await self._store.events.latest_seq(reader.user_id))
                    self._wake.set()
                await self._follow(reader, channel, farewell)
            finally:
                self._leave(reader, channel)
        finally:
            self._metrics.streams_open.dec()
            del self._readers[reader]

    async def _follow(
        self, reader: Reader, channel: Channel, farewell: Callable[[], Awaitable[bytes | None]]
    ) -> None:
        while not self._is_over(reader):
            # An empty write waits until the client can take bytes, before any are read for it.
            await reader.write(b"")
            pushed = channel.position
            last_words = await farewell()
            if await self._catch_up(reader, pushed):
                continue
            # The log was read after `pushed` was, so nothing up to there is missing.
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

    def _enter(self, user_id: int) -> Channel:
        channel = self._channels.get(user_id)
        if channel is None:
            channel = self._channels[user_id] = Channel(user_id, self._notify)
            self._hub.add(of_user(user_id), channel.notify)
        channel.members += 1
        return channel

    def _leave(self, reader: Reader, channel: Channel) -> None:
        channel.readers.discard(reader)
        channel.members -= 1
        if channel.members == 0:
            del self._channels[reader.user_id]
            self._hub.remove(of_user(reader.user_id), channel.notify)
            self._notified.pop(channel, None)

    def _notify(self, channel: Channel) -> None:
        self._notified.setdefault(channel, self._clock.monotonic())
        self._wake.set()

    async def _push_new(self, channel: Channel) -> None:
        """Push the log's events after the channel's position."""
        notified_at = self._notified.pop(channel, None)
        if notified_at is None:  # its readers have left
            return
        if offered := channel.take_offered():
            self._push(channel, offered, notified_at)
            return
        try:
            while page := await self._store.events.after_for_user(
                channel.user_id, channel.position, PAGE
            ):
                self._push(channel, page, notified_at)
        except StoreUnavailable:
            self._notify(channel)
            raise

    def _push(self, channel: Channel, events: Sequence[Event], notified_at: float) -> None:
        for event in events:
            if event.cursor.seq > channel.position and (written := channel.push(event)):
                self._metrics.stream_events.inc(written)
                self._metrics.stream_lag.observe(self._clock.monotonic() - notified_at)

    def _on_commit(self, changes: Changes) -> None:
        for user_id, events in changes.appended.items():
            if user_id in self._channels:
                self._channels[user_id].offer(events)
