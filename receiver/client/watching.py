"""What a stream of events says, and where to go on after it has broken."""

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
    """One thing that a stream said."""

    type: Literal["snapshot", "update", "reset"]
    """`snapshot`: how things stand, at the begin and after a reset. `update`: one job has changed.
    `reset`: the service no longer knows the cursor; forget what you know, a snapshot follows."""
    jobs: tuple[Job, ...] = ()
    cursor: str | None = None
    """Where to resume after this event; durable."""
    truncated: bool = False
    """A snapshot of a user's jobs that has left out the oldest."""


class _JobList(BaseModel):
    jobs: list[Job]
    truncated: bool = False


class Watching:
    """The reader's side of one stream: its cursor, and its patience. No I/O."""

    def __init__(self, job_id: str | None, cursor: str | None) -> None:
        self.path = "/v1/events" if job_id is None else f"/v1/jobs/{job_id}/events"
        self.cursor = cursor
        self.over = False
        """The job is finished, and nothing more will come."""
        self._of_one_job = job_id is not None
        self._pause = FIRST_PAUSE
        self._failures = 0

    def headers(self) -> dict[str, str]:
        """Those of the next connection."""
        return {} if self.cursor is None else {"Last-Event-ID": self.cursor}

    def take(self, sent: ServerSentEvent) -> StreamEvent | None:
        """What one event of the stream is to whoever watches.

        Raises:
            UnreadableAnswer: it is none of the service's.
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
                # `retry` and heartbeats come as events without data; newer kinds are not for us.
                return None

    def pause(self, error: Exception | None) -> float:
        """Seconds to wait before the next connection, after `error` or a clean end (None)."""
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
