"""What the service answers, as frozen models. Members that a newer service adds are kept."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainSerializer


def _as_the_service_writes(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[datetime, PlainSerializer(_as_the_service_writes, return_type=str)]
"""A moment in UTC."""


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class JobError(_Document):
    """Why a job ended without a result."""

    code: str
    message: str
    retryable: bool
    may_have_been_billed: bool


class Job(_Document):
    """One submission, as it stands."""

    request_id: str
    user: str
    provider: str
    provider_request_id: str | None
    kind: str
    status: str
    """PENDING, IN_PROGRESS, COMPLETED, FAILED or CANCELLED."""
    phase: str
    done: bool
    progress: float | int | None
    """0 to 100."""
    seq: int
    """The count of the job's own events."""
    result: dict[str, Any] | None
    """`videoUrl`, and whatever the provider gave beside it."""
    message: str | None
    error: JobError | None
    provider_status: str | None
    evidence: str | None
    """What brought the news: callback, poll, submit, deadline or user."""
    metadata: dict[str, str]
    created_at: Time
    updated_at: Time
    done_at: Time | None


class Jobs(_Document):
    """A page of jobs, newest first."""

    jobs: list[Job]
    next_cursor: str | None
    """Give it to `list` for the next page; None at the end."""


class HistoryLine(_Document):
    """One thing that happened to a job; what it is decides its further members (`model_extra`)."""

    at: Time
    type: str


class History(_Document):
    """Everything that happened to a job, oldest first."""

    history: list[HistoryLine]


class Attempt(_Document):
    """One attempt of a delivery."""

    at: Time
    status_code: int | None
    error: str | None
    duration_ms: int


class Delivery(_Document):
    """One webhook to the user, and what became of it."""

    id: str
    """The `webhook-id`."""
    request_id: str
    status: str
    seq: int
    state: str
    """pending, delivered, skipped, exhausted or disabled."""
    attempts: list[Attempt]
    next_attempt_at: Time | None
    created_at: Time
    delivered_at: Time | None


class Deliveries(_Document):
    """A page of deliveries, newest first."""

    deliveries: list[Delivery]
    next_cursor: str | None
