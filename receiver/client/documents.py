"""The service's documents as frozen models. Members added by a newer service are kept."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainSerializer


def _as_the_service_writes(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[
    datetime, PlainSerializer(_as_the_service_writes, return_type=str, when_used="json")
]
"""A time in UTC; in JSON as the service writes it."""


class _Document(BaseModel):
    # Built when first used: a command uses few of them, and building all takes longer than a call.
    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)


class JobError(_Document):
    """Why a job ended without a result."""

    code: str
    message: str
    retryable: bool
    may_have_been_billed: bool


class ArchivedFile(_Document):
    """One link of a result, and the state of its file."""

    link: str
    state: str
    """pending, stored or failed."""
    bytes: int | None
    content_type: str | None
    sha256: str | None
    error: str | None


class Job(_Document):
    """One submission and its current state."""

    request_id: str
    user: str
    provider: str
    provider_request_id: str | None
    kind: str
    label: str | None = None
    """The beginning of its prompt."""
    status: str
    """PENDING, IN_PROGRESS, COMPLETED, FAILED or CANCELLED."""
    phase: str
    done: bool
    progress: float | int | None
    """0 to 100."""
    seq: int
    """The number of the job's events so far."""
    result: dict[str, Any] | None
    """As the provider gave it; Samsar's has a `videoUrl`."""
    message: str | None
    error: JobError | None
    provider_status: str | None
    evidence: str | None
    """The source of the status: callback, poll, submit, deadline or user."""
    metadata: dict[str, str]
    archive: list[ArchivedFile] = []
    """The files of the result, if they are kept."""
    created_at: Time
    updated_at: Time
    done_at: Time | None


class JobDetail(Job):
    """A job with what it was asked for."""

    input: dict[str, Any] = {}


class Jobs(_Document):
    """A page of jobs, newest first."""

    jobs: list[Job]
    next_cursor: str | None
    """Pass it to `list` for the next page; None at the end."""


class HistoryLine(_Document):
    """One thing that happened to a job; further members depend on the type (`model_extra`)."""

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
    excerpt: str | None = None
    """The first characters of the response body."""


class Delivery(_Document):
    """One webhook to the user and its state."""

    id: str
    """The `webhook-id`."""
    request_id: str
    user: str
    status: str
    seq: int
    state: str
    """pending, delivered, skipped, exhausted or disabled."""
    attempts: list[Attempt]
    next_attempt_at: Time | None
    created_at: Time
    delivered_at: Time | None


class DeliveryDetail(Delivery):
    """A delivery with its message."""

    url: str
    body: dict[str, Any]
    headers: dict[str, str]
    """The headers of the last attempt, without the signature."""


class Retried(_Document):
    """The number of retried deliveries."""

    retried: int


class User(_Document):
    """An owner of keys."""

    user: str
    created_at: Time
    keys: int
    """Those in force."""
    unfinished: int
    """Jobs."""


class Users(_Document):
    """A page of users, by name."""

    users: list[User]
    next_cursor: str | None


class Hold(_Document):
    """A hold on submissions because the provider limits our rate."""

    provider: str
    user: str | None
    """The user whose submissions are held; None means all users."""
    until: Time
    request_id: str
    """The last refused job."""
    status_code: int


class Holds(_Document):
    """The current holds."""

    holds: list[Hold]


class Deliveries(_Document):
    """A page of deliveries, newest first."""

    deliveries: list[Delivery]
    next_cursor: str | None
