"""Follows a stream over all its connections."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass

from httpx_sse import EventSource, ServerSentEvent

from receiver.client.errors import (
    AnotherServer,
    ApiError,
    ClientError,
    Unreachable,
    UnreadableAnswer,
)
from receiver.domain.documents import Job

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
LONGEST_RETRY_AFTER = 300.0
"""Longer ones are cut: a proxy may say a day although the service is back in a minute."""

Sleep = Callable[[float], Awaitable[None]]
OnPause = Callable[[ClientError | None, float], None]
Connect = Callable[[str | None], AbstractAsyncContextManager[EventSource | None]]
"""Opens a connection that resumes at a cursor; see `Transport.stream`."""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    type: str
    """`snapshot`: at the start without a cursor and after a reset, the watched job, or the user's
    unfinished jobs: those that ended before are not in it (`get()` and `list()` have them).
    `update`: one job has changed. `reset`: the cursor is no longer valid, and events may be
    missing; a snapshot follows."""
    jobs: "tuple[Job, ...]" = ()
    cursor: str | None = None
    """Resumes the stream after this event; durable."""
    truncated: bool = False
    """Whether a snapshot of a user's jobs leaves out the oldest."""


async def follow(
    connect: Connect, cursor: str | None, sleep: Sleep, on_pause: OnPause | None
) -> AsyncGenerator[StreamEvent, None]:
    """See `AsyncClient.watch`."""
    watching = StreamState(cursor)
    connected = False
    while True:
        trouble: ClientError | None = None
        try:
            async with connect(watching.cursor) as source:
                connected = True
                watching.connected()
                if source is None:
                    return
                async with aclosing(source.aiter_sse()) as stream:
                    async for sent in stream:
                        if (event := watching.take(sent)) is not None:
                            yield event
                        if watching.over:
                            return
        except (ApiError, Unreachable, AnotherServer) as error:
            if not connected or not _is_temporary(error):
                raise
            trouble = error
        seconds = watching.pause(trouble)
        if on_pause is not None:
            on_pause(trouble, seconds)
        await sleep(seconds)


def _is_temporary(error: ClientError) -> bool:
    """Whether the stream can be resumed after this error: while the service restarts, a proxy may
    answer anything."""
    if not isinstance(error, ApiError):
        return True
    return error.status == 429 or error.status >= 500 or error.code == "http_error"


class StreamState:
    """The client's state of one stream: its cursor and its reconnection delay. No I/O."""

    def __init__(self, cursor: str | None) -> None:
        self.cursor = cursor
        self.over = False
        """Whether the job is finished and no more events will come."""
        self._pause = FIRST_PAUSE
        self._failures = 0
        """Connections in a row that did not begin."""

    def connected(self) -> None:
        """Note that the service has accepted a connection."""
        self._failures = 0

    def take(self, sent: ServerSentEvent) -> StreamEvent | None:
        """Process an event; returns what to pass to the caller, None for nothing.

        Raises:
            UnreadableAnswer: its data is not the service's.
        """
        if sent.retry is not None:
            self._pause = min(sent.retry / 1_000, LONGEST_RETRY_AFTER)
        match sent.event:
            case "snapshot" | "update":
                self.cursor = sent.id
                return _state_event(sent)
            case "reset":
                self.cursor = None
                return StreamEvent("reset")
            case "done":
                self.over = True
                return None
            case _:
                # Unknown kinds are ignored.
                return None

    def pause(self, error: Exception | None) -> float:
        """Seconds to wait before reconnecting, after `error` or a clean end (None)."""
        if error is None:
            return self._pause
        if isinstance(error, ApiError) and error.retry_after is not None:
            return min(max(self._pause, error.retry_after), LONGEST_RETRY_AFTER)
        self._failures += 1
        return max(self._pause, min(FIRST_PAUSE * 2.0 ** (self._failures - 1), LONGEST_PAUSE))


def _state_event(sent: ServerSentEvent) -> StreamEvent:
    try:
        document = sent.json()
        # The snapshot of a user's stream is a list of jobs; everything else is one job.
        jobs = tuple(document.get("jobs", [document]))
        truncated = document.get("truncated", False)
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        words = f"an event of the stream cannot be read: {sent.data[:80]!r}"
        raise UnreadableAnswer(words) from error
    return StreamEvent(sent.event, jobs, sent.id, truncated)
