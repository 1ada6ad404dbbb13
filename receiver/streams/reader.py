"""One open stream: what it wants, how far it is, and the way to its client."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, TypeAlias

from receiver.streams.frames import Frame
from store.records import Event

Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

STALL_SECONDS = 60.0
"""A reader whose socket takes nothing for so long is dropped; it resumes by its cursor."""


class Connection(Protocol):
    """A connection that takes chunks without ASGI between (receiver.http_connection)."""

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
        "position",
        "user_id",
    )

    def __init__(
        self,
        send: Send,
        connection: Connection | None,
        *,
        key_hash: str,
        user_id: int,
        job_id: str | None,
        position: int,
    ) -> None:
        """`connection` is the one under `send`, where the server gives it away."""
        self.key_hash = key_hash
        self.user_id = user_id
        self.job_id = job_id
        """The one job whose events it wants; None for all of the user's."""
        self.position = position
        """The user's events up to here are written, or are no concern of this reader."""
        self.ended = False
        """Nothing more is to be written: client gone, key revoked, or shutting down."""
        self._send = send
        self._connection = connection
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
            await self._send(_message(body))

    def push(self, frame: Frame) -> bool:
        """Write now if the client takes it now; False, with nothing written, where it lags."""
        if self._connection is not None:
            return self._connection.push(frame.chunk)
        # uvicorn's `send` ends at once where the socket takes the bytes, and waits before it writes
        # anything where the client lags. So one step of it is a try.
        writing = self._send(_message(frame.body)).__await__()
        try:
            next(writing)
        except StopIteration:
            return True
        writing.close()
        return False


def _message(body: bytes) -> MutableMapping[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}
