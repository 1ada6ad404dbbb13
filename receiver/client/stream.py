"""Follows an event stream over all its connections."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Final

from httpx_sse import EventSource, ServerSentEvent

from receiver.client.errors import ApiError, ClientError
from receiver.domain.documents import Job

FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0

Sleep = Callable[[float], Awaitable[None]]
OnPause = Callable[[ClientError | None, float], None]
Connect = Callable[[str | None], AbstractAsyncContextManager[EventSource | None]]
"""Opens a connection that resumes at a cursor; None if there are no more events (204)."""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    type: str
    """`snapshot`: at the start without a cursor and after a reset, the watched job, or the user's
    unfinished jobs: those that ended before are not in it (`get()` and `list()` have them).
    `update`: one job has changed. `reset`: the cursor is no longer valid, and events may be
    missing; a snapshot follows."""
    jobs: tuple[Job, ...] = ()
    cursor: str | None = None
    """Resumes the stream after this event; durable."""
    truncated: bool = False
    """Whether a snapshot of a user's jobs leaves out the oldest."""


async def follow(
    connect: Connect, cursor: str | None, sleep: Sleep, on_pause: OnPause | None
) -> AsyncGenerator[StreamEvent, None]:
    """See `AsyncClient.watch`."""
    retry, failures, connected = FIRST_PAUSE, 0, False
    while True:
        trouble: ClientError | None = None
        try:
            async with connect(cursor) as source:
                connected, failures = True, 0
                if source is None:
                    return
                async with aclosing(source.aiter_sse()) as stream:
                    async for sent in stream:
                        retry = retry if sent.retry is None else sent.retry / 1_000
                        if sent.event == "done":
                            return
                        if (event := _read(sent)) is not None:
                            cursor = event.cursor
                            yield event
        except ClientError as error:
            if not connected or not _is_temporary(error):
                raise
            trouble = error
            failures += 1
        seconds = _pause(trouble, retry, failures)
        if on_pause is not None:
            on_pause(trouble, seconds)
        await sleep(seconds)


def _is_temporary(error: ClientError) -> bool:
    """Whether the stream can be resumed after this error: while the service restarts, a proxy may
    answer anything."""
    if not isinstance(error, ApiError):
        return True
    return error.status == 429 or error.status >= 500 or error.code == "http_error"


def _pause(trouble: ClientError | None, retry: float, failures: int) -> float:
    """Seconds until the next connection: `retry` after a clean end (None), longer after errors."""
    wanted = 0.0 if trouble is None else FIRST_PAUSE * 2.0 ** (failures - 1)
    if isinstance(trouble, ApiError) and trouble.retry_after is not None:
        wanted = trouble.retry_after
    return max(retry, min(wanted, _LONGEST_PAUSE))


def _read(sent: ServerSentEvent) -> StreamEvent | None:
    """The event as it is passed to the caller; None for an unknown kind."""
    if sent.event == "reset":
        return StreamEvent("reset")
    if sent.event not in ("snapshot", "update"):
        return None
    document = sent.json()
    # The snapshot of a user's stream is a list of jobs; everything else is one job.
    jobs = tuple(document.get("jobs", [document]))
    return StreamEvent(sent.event, jobs, sent.id, document.get("truncated", False))
