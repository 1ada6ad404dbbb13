"""Reads the events of a stream and keeps the cursor for resuming it."""

from dataclasses import dataclass
from typing import Literal

from httpx_sse import ServerSentEvent
from pydantic import BaseModel, ValidationError

from receiver.client.documents import Job
from receiver.client.errors import ApiError, UnreadableAnswer

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event of a stream."""

    type: Literal["snapshot", "update", "reset"]
    """`snapshot`: the current state, at the start and after a reset. `update`: one job has changed.
    `reset`: the cursor is no longer valid; discard your state, a snapshot follows."""
    jobs: tuple[Job, ...] = ()
    cursor: str | None = None
    """Resumes the stream after this event; durable."""
    truncated: bool = False
    """Whether a snapshot of a user's jobs leaves out the oldest."""


class _JobList(BaseModel, defer_build=True):
    jobs: list[Job]
    truncated: bool = False


class Watching:
    """The client's state of one stream: its cursor and its reconnection delay. No I/O."""

    def __init__(self, job_id: str | None, cursor: str | None) -> None:
        self.path = "/v1/events" if job_id is None else f"/v1/jobs/{job_id}/events"
        self.cursor = cursor
        self.over = False
        """Whether the job is finished and no more events will come."""
        self._of_one_job = job_id is not None
        self._pause = FIRST_PAUSE
        self._failures = 0

    def headers(self) -> dict[str, str]:
        """The headers of the next connection."""
        return {} if self.cursor is None else {"Last-Event-ID": self.cursor}

    def take(self, sent: ServerSentEvent) -> StreamEvent | None:
        """Process an event; returns what to pass to the caller, None for nothing.

        Raises:
            UnreadableAnswer: it is not one of the service's events.
        """
        self._failures = 0
        if sent.retry is not None:
            self._pause = sent.retry / 1_000
        match sent.event:
            case "snapshot" | "update":
                event = self._read(sent)
                self.cursor = event.cursor
                return event
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
            return error.retry_after
        self._failures += 1
        return max(self._pause, min(FIRST_PAUSE * 2.0 ** (self._failures - 1), LONGEST_PAUSE))

    def _read(self, sent: ServerSentEvent) -> StreamEvent:
        kind: Literal["snapshot", "update"] = "update" if sent.event == "update" else "snapshot"
        try:
            if kind == "update" or self._of_one_job:
                return StreamEvent(kind, (Job.model_validate_json(sent.data),), sent.id)
            found = _JobList.model_validate_json(sent.data)
        except ValidationError as error:
            words = f"an event of the stream cannot be read: {sent.data[:80]!r}"
            raise UnreadableAnswer(words) from error
        return StreamEvent(kind, tuple(found.jobs), sent.id, found.truncated)
