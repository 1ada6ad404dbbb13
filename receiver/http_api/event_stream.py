"""The response that is an event stream: its start, its events and its end."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope, Send

from receiver.http_api.auth import Caller
from receiver.http_api.context import ApiContext
from receiver.http_api.errors import Problem
from receiver.server.connection import CONNECTION
from receiver.streams import frames
from receiver.streams.reader import Connection, Reader
from store.records.events import Cursor

RETRY_MS: Final = (2_000, 5_000)
HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"vary", b"Origin"),
]


@dataclass(slots=True)
class EventStream(ABC):
    context: ApiContext
    caller: Caller
    user_id: int
    job_id: str | None
    """The one job whose events it has; None for all of the user's."""
    resumed_at: Cursor | None
    """The client's cursor; None starts the stream with a snapshot."""
    is_reset: bool
    """Whether the client's cursor is no longer valid."""

    @abstractmethod
    async def snapshot(self) -> tuple[Cursor, bytes]:
        """The current state, and the cursor at which it was read."""

    async def final_bytes(self) -> bytes | None:
        """The last bytes to send if the stream is over; None if it continues."""
        return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the whole response: head, snapshot if needed, every later event, end."""
        with self._counted():
            retry = frames.retry(self.context.rng.randint(*RETRY_MS))
            if self.context.broadcast.closing:
                # An empty stream, not a 503: an EventSource gives up at an error status.
                await _begin(send, retry)
            elif self.resumed_at is not None:
                await _begin(send, retry)
                await self._follow(scope, send, self.resumed_at.seq)
            else:
                at, frame = await self.snapshot()
                await _begin(send, retry + (frames.RESET if self.is_reset else b"") + frame)
                del frame  # it can be large, and the stream may last for days
                await self._follow(scope, send, at.seq)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _follow(self, scope: Scope, send: Send, after_seq: int) -> None:
        connection: Connection = scope["extensions"][CONNECTION]
        reader = Reader(
            send,
            connection,
            key_hash=self.caller.key_hash,
            user_id=self.user_id,
            job_id=self.job_id,
            after_seq=after_seq,
        )
        await self.context.broadcast.follow(reader, self.final_bytes)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Count the stream as open. Raises Problem 429 if the key has reached its limit."""
        streams, key = self.context.open_streams, self.caller.key_hash
        most = self.context.settings.stream_max_per_key
        if streams.get(key, 0) >= most:
            raise Problem(
                429,
                "too_many_streams",
                f"This key has {most} streams open. Close one, or read /v1/events instead.",
                headers={"Retry-After": "5"},
            )
        streams[key] = streams.get(key, 0) + 1
        try:
            yield
        finally:
            streams[key] -= 1
            if not streams[key]:
                del streams[key]


async def _begin(send: Send, first: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": first, "more_body": True})
