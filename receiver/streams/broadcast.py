"""Fan-out: an event is read once, encoded once, and the same bytes go to every reader.

A reader costs no task, no queue, and no wake-up for a delivery: while it keeps up, the channel of
its user writes straight to its connection. One that lags is taken out of the channel, catches up
from the store at its own pace in its own coroutine, and joins again. Nothing is buffered for it
here.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import takewhile

from receiver.clock import Clock
from receiver.metrics import Metrics
from receiver.streams import frames
from receiver.streams.frames import Frame
from receiver.streams.hub import Hub, of_user
from receiver.streams.reader import Reader
from store.contract import Store
from store.errors import StoreUnavailable
from store.records import Event

PAGE = 32
"""Events that are read from the store at once: about what a connection takes at once."""
USERS_AT_ONCE = 32
"""Users whose news are read from the store at once."""
RECENT_BYTES = 64 * 1024
"""What a channel keeps for those of its readers that catch up, so that one that joins finds no gap:
what comes between two looks at the log."""
BEAT_SECONDS = 0.05
"""Heartbeats that are due so close together go in one turn."""

_DONE = b'"done":true'
"""In the event that ends a job (and perhaps, in a provider's result, elsewhere: whoever finds it
looks at the job itself)."""


class _Channel:
    """The events of one user that are new, and the readers that keep up with them."""

    def __init__(self, position: int) -> None:
        self.position = position
        """Every event up to here has been pushed, or was there before the channel."""
        self.readers: set[Reader] = set()
        self.members = 0
        """Readers that are here or catching up: the channel lives while there are any."""
        self._recent: deque[tuple[Event, Frame]] = deque()
        self._recent_bytes = 0
        self._floor = position
        """Events up to here are not among the recent ones."""

    def push(self, event: Event) -> int:
        """Give the event to every reader that wants it; how many took it."""
        frame = frames.update(event)
        give = self._give
        taken = sum([give(reader, event, frame) for reader in tuple(self.readers)])
        self.position = event.cursor.seq
        self._remember(event, frame)
        return taken

    def join(self, reader: Reader) -> None:
        """Let the reader keep up, where it lacks nothing that is not recent.

        It may not join, or may be out again at once: then it has to catch up from the store.
        """
        if reader.position < self._floor:
            return
        self.readers.add(reader)
        for event, frame in self._recent:
            if reader in self.readers:
                self._give(reader, event, frame)

    def beat(self, reader: Reader) -> None:
        """Give one reader its heartbeat."""
        if not reader.push(frames.HEARTBEAT):
            self._dismiss(reader)

    def _dismiss(self, reader: Reader) -> None:
        self.readers.discard(reader)
        reader.wake()

    def _give(self, reader: Reader, event: Event, frame: Frame) -> bool:
        """Push one event to one reader; one that lags, or whose job may be over, leaves."""
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
    """All channels, the task that pumps them, and the heartbeat."""

    def __init__(
        self, store: Store, hub: Hub, metrics: Metrics, clock: Clock, heartbeat: float
    ) -> None:
        """`heartbeat` is the gap between comment lines, in seconds."""
        self._store = store
        self._hub = hub
        self._metrics = metrics
        self._clock = clock
        self._heartbeat = heartbeat
        self._channels: dict[int, _Channel] = {}
        self._ringers: dict[int, Callable[[], None]] = {}
        self._rung: dict[int, float] = {}
        """Users with something new, and since when."""
        self._bell = asyncio.Event()
        self._readers: dict[Reader, float] = {}
        """With the time at which each gets its heartbeat, the next one first."""
        self.closing = False
        """Whether streams are being ended for shutdown."""

    def close(self) -> None:
        """End every stream cleanly, and those that are asked for from now on."""
        self.closing = True
        for reader in self._readers:
            reader.end()

    async def pump(self) -> None:
        """Push what is new; runs as long as the service."""
        while True:
            await self._bell.wait()
            self._bell.clear()
            rung = [user_id for user_id in self._rung if user_id in self._channels]
            for first in range(0, len(rung), USERS_AT_ONCE):
                some = rung[first : first + USERS_AT_ONCE]
                ends = await asyncio.gather(*map(self._push_new, some), return_exceptions=True)
                for failure in filter(None, ends):
                    raise failure

    async def beat(self) -> None:
        """A comment line to every reader once a heartbeat, and an end to those of revoked keys.

        Each has its own time, counted from when it came, so that a thousand are no burst.
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
                # One that catches up is written to anyhow.
                if channel is not None and reader in channel.readers:
                    channel.beat(reader)

    async def follow(self, reader: Reader, farewell: Callable[[], Awaitable[bytes | None]]) -> None:
        """Write every event after the reader's position, until its end.

        `farewell` gives the last words of a stream to which nothing will be added any more, None
        while something may. It is asked before each look at the log, so what led to the end is
        written before it. Raises TimeoutError where the client has taken nothing for too long.
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
            # An empty write waits until the client takes bytes, before any are fetched for it.
            await reader.write(b"")
            pushed = channel.position
            last_words = await farewell()
            if await self._catch_up(reader, pushed):
                continue
            # The log was read after `pushed` was: up to there nothing is missing.
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
        """The readers whose time has come; each is given its next one."""
        now = self._clock.monotonic()
        due = list(takewhile(lambda reader: self._readers[reader] <= now, self._readers))
        for reader in due:
            self._expect_heartbeat(reader)
        return due

    async def _catch_up(self, reader: Reader, pushed: int) -> bool:
        """Write of the log's next page what the client takes now; whether there may be more for it
        up to `pushed`.

        The rest is forgotten, and read again when there is room for it: a reader that stalls holds
        no page.
        """
        if reader.job_id is not None:
            # Always looked for: the job's last words may be there before its last event is pushed.
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
            # Listening begins before the place is read, so what is committed in between has rung.
            ringer = self._listen(user_id)
            position = await self._store.events.latest_seq(user_id)
            # Meanwhile another reader may have opened the channel, or closed it and its ears.
            if user_id not in self._channels and self._ringers.get(user_id) is ringer:
                self._channels[user_id] = _Channel(position)
                self._bell.set()
        channel = self._channels[user_id]
        channel.members += 1
        return channel

    def _listen(self, user_id: int) -> Callable[[], None]:
        if user_id not in self._ringers:
            self._ringers[user_id] = partial(self._ring, user_id)
            self._hub.add(of_user(user_id), self._ringers[user_id])
        return self._ringers[user_id]

    def _leave(self, reader: Reader, channel: _Channel) -> None:
        channel.readers.discard(reader)
        channel.members -= 1
        if channel.members == 0:
            del self._channels[reader.user_id]
            self._hub.remove(of_user(reader.user_id), self._ringers.pop(reader.user_id))
            self._rung.pop(reader.user_id, None)

    def _ring(self, user_id: int) -> None:
        self._rung.setdefault(user_id, self._clock.monotonic())
        self._bell.set()

    async def _push_new(self, user_id: int) -> None:
        """Push what the log holds after the place of the user's channel."""
        channel, rung_at = self._channels.get(user_id), self._rung.pop(user_id, None)
        if channel is None or rung_at is None:
            return
        try:
            while page := await self._store.events.after_for_user(user_id, channel.position, PAGE):
                for event in page:
                    written = channel.push(event)
                    if written:
                        self._metrics.stream_events.inc(written)
                        self._metrics.stream_lag.observe(self._clock.monotonic() - rung_at)
        except StoreUnavailable:
            self._ring(user_id)
            raise
