"""One open stream: its filter, its connection, and how far it has been written."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, TypeAlias

from receiver.streams import frames
from store.records.events import Event

Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Connection(Protocol):
    """A connection that takes chunks directly, without ASGI (receiver.server.connection). It ends
    itself if its client reads nothing for too long."""

    def push(self, chunk: bytes) -> bool:
        """Write without waiting. If the client lags, write nothing and return False; if the
        connection is closing, drop the chunk and return True."""
        ...

    def when_lost(self, call: Callable[[], None]) -> None:
        """Call `call` once the connection is lost; at once if it already is. Replaces an earlier
        one."""
        ...


class Reader:
    def __init__(
        self,
        send: Send,
        connection: Connection,
        *,
        key_hash: str,
        user_id: int,
        job_id: str | None,
        after_seq: int,
    ) -> None:
        """Events after `after_seq` are to be written. `connection` is the one that `send` uses."""
        self.key_hash = key_hash
        self.user_id = user_id
        self.job_id = job_id
        """The one job whose events it wants; None for all of the user's."""
        self.written_seq = after_seq
        """The user's events up to here are written, or do not concern this reader."""
        self.ended = False
        """Whether to write nothing more: client gone, key revoked, log set back, or shutdown."""
        self.push = connection.push
        """Writes a chunk without waiting; see `Connection.push`."""
        self._send = send
        self._wake: asyncio.Future[None] | None = None
        self._next_beat: asyncio.TimerHandle | None = None
        connection.when_lost(self.end)

    def wants(self, event: Event) -> bool:
        """Whether the event is for this reader and has not been written."""
        return event.cursor.seq > self.written_seq and self.job_id in (None, event.job_id)

    def beat(self, interval: float) -> None:
        """Send a heartbeat every `interval` seconds until the stream ends, except while the reader
        catches up: then its next bytes are events."""
        loop = asyncio.get_running_loop()
        self._next_beat = loop.call_later(interval, self._beat, interval)

    def _beat(self, interval: float) -> None:
        if self._wake is not None and not self.push(frames.HEARTBEAT):
            self.wake()  # it lags, and catches up by itself
        self.beat(interval)

    def wake(self) -> None:
        """Wake the reader's own coroutine, if it waits in `wait_until_woken`."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def end(self) -> None:
        """End the stream."""
        self.ended = True
        if self._next_beat is not None:
            self._next_beat.cancel()
        self.wake()

    async def wait_until_woken(self) -> None:
        """Wait until `wake` is called."""
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    async def write(self, body: bytes) -> None:
        """Write at the client's pace."""
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
