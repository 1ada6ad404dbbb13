"""The documents of the API as types, for the handlers and for the client. The job itself is in
`domain/documents.py`. `openapi.json` describes each member."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

from receiver.domain.documents import Job
from receiver.engine.waiting import Waiting


class Page(TypedDict):
    """One page of a list."""

    next_cursor: str | None


class JobDetail(Job):
    """A job with its input, and why it waits while it is queued."""

    input: Mapping[str, Any]
    waiting: Waiting | None


class Jobs(Page):
    """A page of jobs."""

    jobs: list[Job]


class History(TypedDict):
    """Everything that happened to a job, oldest first."""

    history: list[Mapping[str, Any]]
    """Each line has `at` and `type`; the type decides about the others."""


class SpendRow(TypedDict):
    """Sums of some jobs, as decimal texts."""

    key: str
    jobs: int
    reserved: str
    settled: str
    unknown: str
    split: NotRequired[str]
    """Which of these jobs, with the query parameter `split`."""


class Spend(TypedDict):
    """What jobs cost."""

    currency: str | None
    rows: list[SpendRow]


class BudgetStanding(TypedDict):
    """A user's budget, and what was spent of it in its present period."""

    user: str
    budget: str
    spent: str
    resets_at: str


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
    max_attempts: int
    failing: bool
    paused: bool


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
