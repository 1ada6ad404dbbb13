"""The documents of the API as types, for the handlers and for the client. The job itself is in
`domain/documents.py`. `openapi.json` describes each member."""

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

from receiver.domain.documents import Job


class Page(TypedDict):
    """One page of a list."""

    next_cursor: str | None


class JobDetail(Job):
    """A job with its input."""

    input: Mapping[str, Any]


class Jobs(Page):
    """A page of jobs."""

    jobs: list[Job]


# --- a job's history: one type for each kind of line ----------------------------------------------


class HistoryEvent(TypedDict):
    """The job changed."""

    type: Literal["event"]
    at: str
    id: str
    job: Job


class HistoryCallback(TypedDict):
    """A callback was received."""

    type: Literal["callback"]
    at: str
    verdict: str
    evidence: str | None
    confirmed: bool | None
    bytes: int
    body: str | None
    verified: NotRequired[bool]


class HistorySubmission(TypedDict):
    """The job was submitted to the provider."""

    type: Literal["submission"]
    at: str
    outcome: str
    attempt: NotRequired[int]
    reason: NotRequired[str]
    status_code: NotRequired[int | None]
    provider_request_id: NotRequired[str | None]


class HistoryPoll(TypedDict):
    """A status call changed something."""

    type: Literal["poll"]
    at: str
    provider_status: str | None
    status: NotRequired[str]
    denied_claims: NotRequired[bool]
    link_missing: NotRequired[bool]


class HistoryProviderCancel(TypedDict):
    """The provider was asked to cancel the job."""

    type: Literal["provider_cancel"]
    at: str
    outcome: str
    status_code: NotRequired[int | None]
    message: NotRequired[str | None]


class HistoryRelay(TypedDict):
    """A webhook was sent, or could not be."""

    type: Literal["relay"]
    at: str
    delivery: str
    seq: int
    status_code: int | None
    error: str | None
    duration_ms: int


HistoryLine: TypeAlias = (
    HistoryEvent
    | HistoryCallback
    | HistorySubmission
    | HistoryPoll
    | HistoryProviderCancel
    | HistoryRelay
)


class History(TypedDict):
    """Everything that happened to a job, oldest first."""

    history: list[HistoryLine]


# --- webhooks -------------------------------------------------------------------------------------


class Outcome(TypedDict):
    """The result of an attempt to send a webhook."""

    status_code: int | None
    error: str | None
    duration_ms: int
    excerpt: str | None


class WebhookTest(Outcome):
    """The result of a test message."""

    webhook_id: str


class Attempt(Outcome):
    """One attempt of a delivery."""

    at: str


class Delivery(TypedDict):
    """One webhook message and its state."""

    id: str
    request_id: str
    user: str
    status: str
    seq: int
    state: str
    attempts: list[Attempt]
    next_attempt_at: str | None
    created_at: str
    delivered_at: str | None
    host: str
    type: str
    failing: bool


class Deliveries(Page):
    """A page of deliveries."""

    deliveries: list[Delivery]


class DeliveryDetail(Delivery):
    """A delivery with its message, and the headers of its last attempt."""

    url: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]


class Retried(TypedDict):
    """How many webhook messages will be sent again."""

    retried: int


# --- users and tickets ----------------------------------------------------------------------------


class User(TypedDict):
    """An owner of keys."""

    user: str
    created_at: str
    keys: int
    unfinished: int


class Ticket(TypedDict):
    """A link to a stream."""

    ticket: str
    url: str
    expires_at: str
