"""The response that is an event stream: its start, its events and its end."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope, Send

from receiver.domain.serialization import event_data
from receiver.http_api.auth import Caller
from receiver.http_api.context import ApiContext
from receiver.http_api.errors import Problem, or_404
from receiver.streams import frames
from receiver.streams.reader import Reader, part
from store.records.events import Cursor
from store.records.jobs import Job

RETRY_MS: Final = (2_000, 5_000)
HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]

SNAPSHOT_JOBS: Final = 1_000
SNAPSHOT_BYTES: Final = 256 * 1024
"""Limits on the snapshot of a user's jobs; the newest are in it."""


@dataclass(slots=True)
class EventStream:
    context: ApiContext
    caller: Caller
    user_id: int
    job_id: str | None
    """The one job whose events it has, and with which it ends; None for all of the user's."""
    resumed_at: Cursor | None
    """The client's cursor; None starts the stream with a snapshot."""
    is_reset: bool
    """Whether the client's cursor is no longer valid."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the whole response: head, snapshot if needed, every later event, end."""
        with counted(self.context, self.caller):
            first = frames.retry(self.context.rng.randint(*RETRY_MS))
            # An empty stream, not a 503: an EventSource gives up at an error status.
            closing = self.context.broadcast.closing
            at = None if closing else self.resumed_at
            if at is None and not closing:
                at, frame = await self._snapshot()
                first = first + (frames.RESET if self.is_reset else b"") + frame
                del frame
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            await send(part(first))
            del first  # it can be large, and the stream may last for days
            if at is not None:
                await self._follow(receive, send, at.seq)
            with suppress(OSError):  # by which ASGI says that the client has gone
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _snapshot(self) -> tuple[Cursor, bytes]:
        """The current state, and the cursor at which it was read."""
        events = self.context.services.store.events
        if self.job_id is not None:
            at, seen = or_404(await events.snapshot_for_job(self.job_id))
            return at, frames.snapshot(at, event_data(seen, self.context.settings.root))
        async with self.context.long_read_locks.of(self.caller.user_id):
            at, jobs, more = await events.snapshot_for_user(self.user_id, SNAPSHOT_JOBS)
            shown, all_fit = _encode_fitting(jobs, self.context.settings.root)
        truncated = b',"truncated":true' if more or not all_fit else b""
        return at, frames.snapshot(at, b'{"jobs":[%b]%b}' % (b",".join(shown), truncated))

    async def _follow(self, receive: Receive, send: Send, after_seq: int) -> None:
        reader = Reader(
            receive,
            send,
            key_hash=self.caller.key_hash,
            user_id=self.user_id,
            job_id=self.job_id,
            after_seq=after_seq,
        )
        await self.context.broadcast.follow(reader, self._final_bytes)

    async def _final_bytes(self) -> bytes | None:
        """The last bytes to send if the stream is over; None if it continues."""
        if self.job_id is None:
            return None
        job = await self.context.services.store.jobs.find(self.job_id)
        if job is None:
            return b""
        return frames.done(job) if job.done else None


@contextmanager
def counted(context: ApiContext, caller: Caller) -> Iterator[None]:
    """Count a stream as open. Raises Problem 429 if the key has reached its limit."""
    streams, key = context.open_streams, caller.key_hash
    most = context.settings.stream_max_per_key
    if streams[key] >= most:
        raise Problem(
            429,
            "too_many_streams",
            f"This key has {most} streams open. Close one, or read /v1/events instead.",
            headers={"Retry-After": "5"},
        )
    streams[key] += 1
    try:
        yield
    finally:
        streams[key] -= 1


def _encode_fitting(jobs: Iterable[Job], root: str) -> tuple[list[bytes], bool]:
    """The jobs that fit into a snapshot, encoded, and whether all do."""
    shown: list[bytes] = []
    room = SNAPSHOT_BYTES - len(b'{"jobs":[],"truncated":true}')
    for job in jobs:
        data = event_data(job, root)
        room -= len(data) + 1
        if room < 0:
            return shown, False
        shown.append(data)
    return shown, True
