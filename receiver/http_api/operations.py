"""What the OpenAPI document says of the operations, beside the docstrings of their handlers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeAlias

from receiver.domain.documents import AN_ID, LABEL_CHARACTERS, Job
from receiver.http_api import requests
from receiver.http_api.documents import (
    Accepted,
    CallbackReceipt,
    File,
    Health,
    Holds,
    JobDetail,
    Jobs,
    Status,
    Ticket,
    Users,
)
from receiver.http_api.history_documents import History
from receiver.http_api.jobs import LONGEST_WAIT
from receiver.http_api.queries import DEFAULT_LIMIT, MAX_LIMIT
from receiver.http_api.statistics import Statistics
from receiver.http_api.webhook_documents import (
    Deliveries,
    Delivery,
    DeliveryDetail,
    Retried,
    WebhookTest,
)
from receiver.json_schema import Schema, ref

Texts: TypeAlias = Mapping[int | str, str]
"""Texts of responses by status; `4XX` for statuses that the provider chooses."""


class Group(Enum):
    """A group of operations; the value is its description."""

    PROVIDER_API = "The provider's own API: a client changes its base URL and its key."
    JOBS = "Submit jobs, list them, and see everything that happened to them."
    STREAMS = "Server-Sent Events: every event of a job, once and in order."
    WEBHOOKS = "The webhooks that the service sends to you."
    CALLBACKS = "The address that the provider calls."
    PROBES = "For operators, load balancers and Prometheus."


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter or a header."""

    name: str
    schema: Schema
    description: str
    place: str = "query"
    required: bool = False
    problems: Texts = field(default_factory=dict)
    """The refusals that it may cause."""


@dataclass(frozen=True, slots=True)
class Text:
    """A body that is not JSON."""

    media_type: str
    example: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. Its summary and its responses are in the docstring of its handler, but for
    refusals because the path, the body, the credential or a parameter is wrong."""

    group: Group
    document: Any
    """The type of what a success responds with, or a `Text`; None if there is nothing."""
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    """The type of the request's body."""
    body_required: bool = True


# --- parameters -----------------------------------------------------------------------------------

_TEXT: Final[Schema] = {"type": "string"}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}

_IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    {
        "type": "string",
        "pattern": r'^([!#-~]([ !#-~]{0,253}[!#-~])?|"([ !#-\[\]-~]|\\["\\]){1,255}")$',
    },
    "For 7 days, a repeated key creates no second job: you get the first response again.",
    "header",
    problems={
        409: "The first request with this Idempotency-Key is still running.",
        422: "The Idempotency-Key was used with another body.",
    },
)
_PREFER = Parameter(
    "Prefer",
    {"type": "string", "examples": ["wait=30"]},
    f"`wait=N`: hold the response until the job is done, at most {LONGEST_WAIT} seconds.",
    "header",
)
_PAGE = (
    Parameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        "Maximum number of entries.",
        problems={400: "A parameter is unknown, repeated or invalid."},
    ),
    Parameter("cursor", _TEXT, "The `next_cursor` of the previous page."),
)
_NO_ADMIN: Final[Texts] = {
    403: "Only an admin key can name a user.",
    404: "There is no such user.",
}
_USER = Parameter("user", _TEXT, "Another user's; for admin keys.", problems=_NO_ADMIN)
_ANYBODY = Parameter(
    "user", _TEXT, "Another user's, or `*` for all users'; for admin keys.", problems=_NO_ADMIN
)
_RESUME = (
    Parameter("Last-Event-ID", _TEXT, "The last `id` seen: every later event follows.", "header"),
    Parameter("last_event_id", _TEXT, "The same, for clients that cannot set a header."),
)
_REQUEST_ID = Parameter(
    "request_id",
    {"type": "string", "minLength": 1, "examples": [AN_ID]},
    "Our id, or the provider's.",
    required=True,
)
_JOB_FILTERS = (
    Parameter("status", ref("JobStatus"), "Only this status."),
    Parameter("kind", ref("Kind"), "Only this kind."),
    Parameter("provider", ref("KnownProvider"), "Only this provider."),
    Parameter(
        "q",
        {"type": "string", "maxLength": LABEL_CHARACTERS},
        "Only jobs whose label contains this text (case-insensitive for ASCII letters). A page"
        " can be short although more follow.",
    ),
    Parameter("created_after", _TIME, "Created after this time."),
    Parameter("created_before", _TIME, "Created before this time."),
    Parameter("metadata.KEY", _TEXT, "With this value in the metadata member KEY."),
)
_IF_NONE_MATCH = Parameter("If-None-Match", _TEXT, "An ETag of this job.", "header")
_FILE_NUMBER = Parameter(
    "n",
    {"type": "integer", "minimum": 1, "maximum": 9999},
    "Number of the file. The default, 1, is the main file.",
)
_RANGE = Parameter("Range", _TEXT, "A part of the file, in bytes.", "header")
_DELIVERY_FILTERS = (
    Parameter("state", ref("DeliveryState"), "Only this state."),
    Parameter("request_id", _TEXT, "Only this job."),
    Parameter("host", _TEXT, "Only this host: its name, or name:port."),
)

# --- operations -----------------------------------------------------------------------------------

_STREAM = Text(
    "text/event-stream",
    'retry: 2817\nevent: update\nid: 12.9f3c\ndata: {"request_id":"' + AN_ID + '", …}\n\n',
)

CREATE_MOVIE = Operation(
    Group.PROVIDER_API, Accepted, (_IDEMPOTENCY_KEY,), body=requests.CreateMovie
)
CREATE_NARRATIVE = Operation(
    Group.PROVIDER_API, Accepted, (_IDEMPOTENCY_KEY,), body=requests.CreateNarrative
)
STATUS = Operation(Group.PROVIDER_API, Status, (_REQUEST_ID,))

CREATE_JOB = Operation(Group.JOBS, Job, (_IDEMPOTENCY_KEY, _PREFER), body=requests.CreateJob)
LIST_JOBS = Operation(Group.JOBS, Jobs, (*_JOB_FILTERS, *_PAGE, _ANYBODY))
SHOW_JOB = Operation(Group.JOBS, JobDetail, (_IF_NONE_MATCH,))
JOB_HISTORY = Operation(Group.JOBS, History)
JOB_RESULT = Operation(Group.JOBS, File, (_FILE_NUMBER, _RANGE))
CANCEL_JOB = Operation(Group.JOBS, Job)

FOLLOW_JOB = Operation(Group.STREAMS, _STREAM, _RESUME)
FOLLOW_USER = Operation(Group.STREAMS, _STREAM, (*_RESUME, _USER))
CREATE_STREAM_TICKET = Operation(
    Group.STREAMS, Ticket, body=requests.TicketRequest, body_required=False
)

LIST_DELIVERIES = Operation(Group.WEBHOOKS, Deliveries, (*_DELIVERY_FILTERS, *_PAGE, _ANYBODY))
SHOW_DELIVERY = Operation(Group.WEBHOOKS, DeliveryDetail)
RETRY_DELIVERIES = Operation(Group.WEBHOOKS, Retried, (_ANYBODY,), body=requests.RetryDeliveries)
RETRY_DELIVERY = Operation(Group.WEBHOOKS, Delivery)
TEST_WEBHOOK = Operation(Group.WEBHOOKS, WebhookTest, body=requests.TestWebhook)

CALLBACK = Operation(Group.CALLBACKS, CallbackReceipt, body=requests.Callback)

LIST_USERS = Operation(Group.PROBES, Users, _PAGE)
LIST_HOLDS = Operation(Group.PROBES, Holds)
END_HOLDS = Operation(Group.PROBES, None)
STATISTICS = Operation(Group.PROBES, Statistics, (_ANYBODY,))
LIVEZ = Operation(Group.PROBES, Health)
READYZ = Operation(Group.PROBES, Health)
METRICS = Operation(Group.PROBES, Text("text/plain", "receiver_relay_backlog 0.0\n"))
