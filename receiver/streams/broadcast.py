"""Fan-out: a new event is encoded once, and the same message goes to every reader that keeps up.

Such a reader needs no queue and no wake-up per event: its user's channel steps its `send`, which a
server that has room ends at once. A reader whose `send` waits lags, and is no longer pushed to: its
own coroutine ends that `send`, and reads from the store, at its own pace, until it has caught up.
A single reader buffers one event at most; the channel keeps a few recent ones for all that catch
up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias

from receiver.clock import Clock
from receiver.streams import frames
from receiver.streams.channel import Channel
from receiver.streams.hub import Hub
from receiver.streams.reader import Reader, part
from receiver.telemetry.metrics import Metrics
from store.changes import CommitNotice
from store.database import Store
from store.errors import StoreUnavailable
from store.records.events import Event

PAGE = 32
"""Events read from the store at once: about what a connection's buffer takes."""
USERS_AT_ONCE = 32
"""Users whose new events are read from the store concurrently."""

FinalBytes: TypeAlias = Callable[[], Awaitable[bytes | None]]
"""Returns what ends a complete stream, and None while there may be more events."""


class Broadcast:
    """All channels, with the loop that pushes events."""

    def __init__(
        self, store: Store, hub: Hub, metrics: Metrics, clock: Clock, heartbeat: float
    ) -> None:
        """`heartbeat` is the interval between comment lines, in seconds."""
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._heartbeat = heartbeat
        self.readers: dict[Reader, None] = {}
        """All open streams, the oldest first."""
        self._channels: dict[int, Channel] = {}
        """By user."""
        self._notified: dict[Channel, float] = {}
        """Channels that may have new events, and when they were notified."""
        self._wake = asyncio.Event()
        self.closing = False
        """Whether the service is shutting down and streams end."""
        hub.add_commit_listener(self._on_commit)
        self._may_have_missed = False
        """Whether the log of any channel may have grown without a notification."""
        hub.add_foreign_listener(self._look)

    def close(self) -> None:
        """End every stream cleanly, including those requested from now on."""
        self.closing = True
        for reader in self.readers:
            reader.end()

    async def end_revoked(self) -> None:
        """End the streams whose key was revoked, within the interval of heartbeats; runs as long as
        the service."""
        while True:
            await self._clock.sleep(self._heartbeat / 2)  # reading many keys takes time too
            asked = {reader.key_hash for reader in self.readers}
            ended = asked - await self._store.keys.active(asked) if asked else set()
            for reader in self.readers:
                if reader.key_hash in ended:
                    reader.end()

    async def pump(self) -> None:
        """Push new events; runs as long as the service."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._may_have_missed:
                await self._find_missed()
            notified = [channel for channel in self._notified if channel.is_open]
            for first in range(0, len(notified), USERS_AT_ONCE):
                some = notified[first : first + USERS_AT_ONCE]
                ends = await asyncio.gather(*map(self._push_new, some), return_exceptions=True)
                for failure in filter(None, ends):
                    raise failure

    async def follow(self, reader: Reader, final_bytes: FinalBytes) -> None:
        """Write every event that the reader has not got yet, until the stream ends.

        `final_bytes` is called before each read of the log, so all events are written before them.
        """
        channel = self._attach(reader.user_id)
        self.readers[reader] = None
        reader.beat(self._heartbeat)
        watching = asyncio.create_task(reader.end_with_client())
        self._metrics.streams_open.inc()
        try:
            if not channel.is_open:
                # Read after `_attach` has added the channel, so that no commit is missed.
                channel.open(await self._store.events.latest(reader.user_id))
                self._wake.set()
            await self._follow(reader, channel, final_bytes)
        finally:
            self._detach(reader, channel)
            self._metrics.streams_open.dec()
            del self.readers[reader]
            reader.close()
            watching.cancel()

    async def _follow(self, reader: Reader, channel: Channel, final_bytes: FinalBytes) -> None:
        while not self._is_over(reader):
            await reader.drained()
            pushed_seq = channel.pushed.seq
            final = await final_bytes()
            if await self._catch_up(reader, channel, pushed_seq):
                continue
            # The log was read after `pushed_seq` was, so nothing up to there is missing.
            reader.written_seq = max(reader.written_seq, pushed_seq)
            if final is not None:
                await reader.write(final)
                return
            channel.join(reader)
            if reader in channel.live_readers and not self._is_over(reader):
                await reader.wait_until_woken()
            channel.live_readers.discard(reader)

    def _is_over(self, reader: Reader) -> bool:
        return reader.ended or self.closing

    async def _catch_up(self, reader: Reader, channel: Channel, pushed_seq: int) -> bool:
        """Write as much of the log's next page as the client takes now; returns whether there may
        be more up to `pushed_seq`.

        The rest is dropped and read again later: a stalled reader keeps no page in memory.
        """
        log, after = self._store.events, reader.written_seq
        if reader.job_id is None and after >= pushed_seq:
            return False
        async with channel.reading:
            if reader.job_id is None:
                page = await log.after_for_user(reader.user_id, after, PAGE)
            else:
                # Always read: the job may be done before its last event is pushed.
                page = await log.after_for_job(reader.job_id, after, PAGE)
        for event in page:
            if reader.ended or reader.lags():
                break
            reader.push(part(frames.update(event)))
            reader.written_seq = event.cursor.seq
            self._metrics.stream_events.inc()
        return bool(page) and (reader.job_id is not None or reader.written_seq < pushed_seq)

    def _attach(self, user_id: int) -> Channel:
        channel = self._channels.get(user_id)
        if channel is None:
            channel = self._channels[user_id] = Channel(user_id)
        channel.reader_count += 1
        return channel

    def _detach(self, reader: Reader, channel: Channel) -> None:
        channel.live_readers.discard(reader)
        channel.reader_count -= 1
        if channel.reader_count == 0:
            self._forget(channel)

    def _forget(self, channel: Channel) -> None:
        self._notified.pop(channel, None)
        if self._channels.get(channel.user_id) is channel:
            del self._channels[channel.user_id]

    def _notify(self, channel: Channel) -> None:
        self._notified.setdefault(channel, self._clock.monotonic())
        self._wake.set()

    async def _push_new(self, channel: Channel) -> None:
        """Push the log's events that were not pushed yet."""
        notified_at = self._notified.pop(channel, None)
        if notified_at is None:  # its streams have ended
            return
        if queued := channel.pop_contiguous():
            self._push(channel, queued, notified_at)
            return
        read_after = partial(self._store.events.after_for_user, channel.user_id, limit=PAGE)
        try:
            page = await read_after(channel.pushed.seq - 1)
            if await self._log_went_back(channel, page):
                self._end_streams(channel)
                return
            while page:
                self._push(channel, page, notified_at)
                page = await read_after(channel.pushed.seq)
        except StoreUnavailable:
            self._notify(channel)
            raise

    async def _log_went_back(self, channel: Channel, page: Sequence[Event]) -> bool:
        """Whether the last pushed event is no longer in the log, because a standby without it or an
        older copy took over. `page` begins with that event if the log has it. If only retention has
        removed it, the log still continues after it or ends at its cursor."""
        at = page[0].cursor if page else await self._store.events.latest(channel.user_id)
        return at.seq <= channel.pushed.seq and at != channel.pushed

    def _end_streams(self, channel: Channel) -> None:
        """End the streams of a log that has gone back. The clients reconnect with their cursors,
        and those whose cursor is lost get a reset."""
        self._forget(channel)
        for reader in self.readers:
            if reader.user_id == channel.user_id:
                reader.end()

    def _push(self, channel: Channel, events: Sequence[Event], notified_at: float) -> None:
        for event in events:
            if event.cursor.seq > channel.pushed.seq and (written := channel.push(event)):
                self._metrics.stream_events.inc(written)
                self._metrics.stream_lag_seconds.observe(self._clock.monotonic() - notified_at)

    def _on_commit(self, changes: CommitNotice) -> None:
        for user_id in changes.users:
            channel = self._channels.get(user_id)
            if channel is not None:
                channel.queued.extend(changes.appended.get(user_id, ()))
                self._notify(channel)

    def _look(self) -> None:
        """Something has changed, and it is unknown what."""
        self._may_have_missed = True
        self._wake.set()

    async def _find_missed(self) -> None:
        """Notify the channels that are not at the ends of their logs: one read for all of them."""
        self._may_have_missed = False
        channels = [channel for channel in self._channels.values() if channel.is_open]
        if not channels:
            return
        try:
            ends = await self._store.events.ends([channel.user_id for channel in channels])
        except StoreUnavailable:
            self._look()
            raise
        for channel in channels:
            if ends.get(channel.user_id) != channel.pushed:
                self._notify(channel)
