"""Fan-out: an event is read once, encoded once, and the same bytes go to every reader.

A reader costs no queue and is not woken for a delivery: while it keeps up, the channel of its user
steps the ASGI `send` of its connection by hand. uvicorn's `send` ends at once where the socket
takes the bytes, and waits before it writes anything where the client lags; a reader that lags is
taken out of the channel, catches up from the store at its own pace in its own coroutine, and joins
again. Nothing is buffered for it here.
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, TypeAlias

from receiver.clock import Clock
from receiver.metrics import Metrics
from receiver.streams import frames
from receiver.streams.hub import Hub, of_user
from store.contract import Store
from store.errors import StoreUnavailable
from store.records import Event

Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PAGE = 100
"""Events that are read from the store at once."""
RECENT_EVENTS = 256
RECENT_BYTES = 1024 * 1024
"""What a channel keeps for all its readers together, so that one that joins finds no gap."""
STALL_SECONDS = 60.0
"""A reader whose socket takes nothing for so long is dropped; it resumes by its cursor."""


class Reader:
    """One open stream: what it wants, how far it is, and whether it has to be woken."""

    def __init__(
        self, send: Send, key_hash: str, user_id: int, job_id: str | None, position: int
    ) -> None:
        self.key_hash = key_hash
        self.user_id = user_id
        self.job_id = job_id
        self.position = position
        """The user's events up to here are written, or are no concern of this reader."""
        self.ended = False
        """Nothing more is to be written: client gone, key revoked, or shutting down."""
        self._send = send
        self._wake: asyncio.Future[None] | None = None

    def wants(self, event: Event) -> bool:
        """Whether the event is to be written, and was not yet."""
        return event.cursor.seq > self.position and self.job_id in (None, event.job_id)

    def wake(self) -> None:
        """Let the reader's own coroutine look at what has changed."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def end(self) -> None:
        """Let the stream end."""
        self.ended = True
        self.wake()

    async def woken(self) -> None:
        """Wait until `wake` is called."""
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    async def write(self, body: bytes) -> None:
        """Write at the client's pace. Raises TimeoutError where it takes nothing for too long."""
        async with asyncio.timeout(STALL_SECONDS):
            await self._send({"type": "http.response.body", "body": body, "more_body": True})

    def push(self, body: bytes) -> bool:
        """Write now if the client takes it now; False, with nothing written, where it lags."""
        writing = self._send(
            {"type": "http.response.body", "body": body, "more_body": True}
        ).__await__()
        try:
            next(writing)
        except StopIteration:
            return True
        writing.close()
        return False


class _Channel:
    """The events of one user that are new, and the readers that keep up with them."""

    def __init__(self, position: int) -> None:
        self.position = position
        """Every event up to here has been pushed, or was there before the channel."""
        self.readers: set[Reader] = set()
        self.members = 0
        """Readers that are here or catching up: the channel lives while there are any."""
        self._recent: deque[tuple[Event, bytes]] = deque()
        self._recent_bytes = 0
        self._floor = position
        """Events up to here are not among the recent ones."""

    def push(self, event: Event) -> int:
        """Give the event to every reader that wants it; how many took it."""
        frame = frames.update(event)
        self._remember(event, frame)
        self.position = event.cursor.seq
        return sum(_give(reader, event, frame, self.readers) for reader in tuple(self.readers))

    def join(self, reader: Reader) -> None:
        """Let the reader keep up, where it lacks nothing that is not recent.

        It may not join, or may be out again at once: then it has to catch up from the store.
        """
        if reader.position < self._floor:
            return
        self.readers.add(reader)
        for event, frame in self._recent:
            if reader in self.readers:
                _give(reader, event, frame, self.readers)

    def _remember(self, event: Event, frame: bytes) -> None:
        self._recent.append((event, frame))
        self._recent_bytes += len(frame)
        while len(self._recent) > RECENT_EVENTS or self._recent_bytes > RECENT_BYTES:
            oldest, its_frame = self._recent.popleft()
            self._recent_bytes -= len(its_frame)
            self._floor = oldest.cursor.seq


def _give(reader: Reader, event: Event, frame: bytes, readers: set[Reader]) -> bool:
    """Push one event to one reader; one that lags, or whose job may be over, leaves and wakes."""
    if not reader.wants(event):
        return False
    taken = reader.push(frame)
    if taken:
        reader.position = event.cursor.seq
    if not taken or (reader.job_id is not None and json.loads(event.data)["done"]):
        readers.discard(reader)
        reader.wake()
    return taken


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
        self._rung: set[int] = set()
        self._bell = asyncio.Event()
        self._readers: set[Reader] = set()
        self.closing = False
        """Whether streams are being ended for shutdown."""

    def close(self) -> None:
        """End every stream cleanly, and those that are asked for from now on."""
        self.closing = True
        for reader in self._readers:
            reader.end()

    async def pump(self) -> None:
        """Push what is new, user by user; runs as long as the service."""
        while True:
            await self._bell.wait()
            self._bell.clear()
            for user_id in tuple(self._rung):
                channel = self._channels.get(user_id)
                if channel is not None:
                    await self._push_new(user_id, channel)

    async def beat(self) -> None:
        """Once a heartbeat: a comment line to every reader, and an end to those of revoked keys."""
        while True:
            await self._clock.sleep(self._heartbeat)
            for key_hash in {reader.key_hash for reader in self._readers}:
                key = await self._store.keys.find(key_hash)
                if key is None or key.revoked_at is not None:
                    for reader in self._readers:
                        if reader.key_hash == key_hash:
                            reader.end()
            for channel in tuple(self._channels.values()):
                for reader in tuple(channel.readers):
                    if not reader.push(frames.HEARTBEAT):
                        channel.readers.discard(reader)
                        reader.wake()

    async def follow(self, reader: Reader, finished: Callable[[], Awaitable[bool]]) -> None:
        """Write every event after the reader's position until `finished`, or until it is ended.

        `finished` is asked whenever the reader has every stored event; true ends the stream.
        Raises TimeoutError where the client has taken nothing for too long.
        """
        self._readers.add(reader)
        self._metrics.streams_open.inc()
        try:
            channel = await self._enter(reader.user_id)
            try:
                await self._follow(reader, channel, finished)
            finally:
                self._leave(reader, channel)
        finally:
            self._metrics.streams_open.dec()
            self._readers.discard(reader)

    async def _follow(
        self, reader: Reader, channel: _Channel, finished: Callable[[], Awaitable[bool]]
    ) -> None:
        while not self._is_over(reader):
            # An empty write waits until the client takes bytes, before any are fetched for it.
            await reader.write(b"")
            pushed = channel.position
            page = await self._page(reader)
            if page:
                await reader.write(b"".join(map(frames.update, page)))
                self._metrics.stream_events.inc(len(page))
                reader.position = page[-1].cursor.seq
                continue
            # The page was read after `pushed`: up to there nothing is missing.
            reader.position = max(reader.position, pushed)
            if await finished():
                return
            channel.join(reader)
            if reader in channel.readers and not self._is_over(reader):
                await reader.woken()
            channel.readers.discard(reader)

    def _is_over(self, reader: Reader) -> bool:
        return reader.ended or self.closing

    async def _page(self, reader: Reader) -> list[Event]:
        if reader.job_id is None:
            return await self._store.events.after_for_user(reader.user_id, reader.position, PAGE)
        return await self._store.events.after_for_job(reader.job_id, reader.position, PAGE)

    async def _enter(self, user_id: int) -> _Channel:
        if user_id not in self._channels:
            position = await self._store.events.latest_seq(user_id)
            if user_id not in self._channels:
                self._channels[user_id] = _Channel(position)
                ringer = self._ringers[user_id] = partial(self._ring, user_id)
                self._hub.add(of_user(user_id), ringer)
                ringer()  # for what was committed between the reading and the listening
        channel = self._channels[user_id]
        channel.members += 1
        return channel

    def _leave(self, reader: Reader, channel: _Channel) -> None:
        channel.readers.discard(reader)
        channel.members -= 1
        if channel.members == 0:
            del self._channels[reader.user_id]
            self._hub.remove(of_user(reader.user_id), self._ringers.pop(reader.user_id))
            self._rung.discard(reader.user_id)

    def _ring(self, user_id: int) -> None:
        self._rung.add(user_id)
        self._bell.set()

    async def _push_new(self, user_id: int, channel: _Channel) -> None:
        """Push what the log holds after the channel's place."""
        self._rung.discard(user_id)
        try:
            while page := await self._store.events.after_for_user(user_id, channel.position, PAGE):
                for event in page:
                    written = channel.push(event)
                    if written:
                        self._metrics.stream_events.inc(written)
                        lag = max(0, self._clock.now() - event.at) / 1_000
                        self._metrics.stream_lag.observe(lag)
        except StoreUnavailable:
            self._ring(user_id)
            raise
