"""One open stream: its filter, its connection, and how far it has been written."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, TypeAlias

from receiver.streams.frames import Frame
from store.records.events import Event

Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

STALL_SECONDS = 60.0
"""A reader whose socket takes nothing for this long is dropped; it can resume by its cursor."""


class Connection(Protocol):
    """A connection that takes chunks directly, without ASGI (receiver.server.connection)."""

    def push(self, chunk: bytes) -> bool: ...

    def when_lost(self, call: Callable[[], None]) -> None: ...


class Reader:
    """One open stream."""

    __slots__ = (
        "_connection",
        "_send",
        "_wake",
        "ended",
        "job_id",
        "key_hash",
        "user_id",
        "written_seq",
    )

    def __init__(
        self,
        send: Send,
        connection: Connection | None,
        *,
        key_hash: str,
        user_id: int,
        job_id: str | None,
        after_seq: int,
    ) -> None:
        """The events after `after_seq` are written. `connection` is the one under `send`, if the
        server exposes it."""
        self.key_hash = key_hash
        self.user_id = user_id
        self.job_id = job_id
        """The one job whose events it wants; None for all of the user's."""
        self.written_seq = after_seq
        """The user's events up to here are written, or do not concern this reader."""
        self.ended = False
        """Whether to write nothing more: client gone, key revoked, or shutting down."""
        self._send = send
        self._connection = connection
        self._wake: asyncio.Future[None] | None = None

    def wants(self, event: Event) -> bool:
        """Whether the event is for this reader and has not been written."""
        return event.cursor.seq > self.written_seq and self.job_id in (None, event.job_id)

    def wake(self) -> None:
        """Wake the reader's own coroutine."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def end(self) -> None:
        """End the stream."""
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
        """Write at the client's pace. Raises TimeoutError if it takes nothing for too long."""
        async with asyncio.timeout(STALL_SECONDS):
            await self._send(_message(body))

    def push(self, frame: Frame) -> bool:
        """Write now if the client can take it now; if it lags, write nothing and return False."""
        if self._connection is not None:
            return self._connection.push(frame.chunk)
        # uvicorn's `send` returns at once if the socket takes the bytes, and waits before writing
        # anything if the client lags. So one step of the coroutine is a non-blocking attempt.
        writing = self._send(_message(frame.body)).__await__()
        try:
            next(writing)
        except StopIteration:
            return True
        writing.close()
        return False


def _message(body: bytes) -> MutableMapping[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}
