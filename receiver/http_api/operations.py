"""What the document says of each operation beyond its address and its credential."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

from receiver.http_api.answer_schemas import JOB_ID, Schema
from receiver.http_api.jobs import LONGEST_WAIT
from receiver.http_api.queries import DEFAULT_LIMIT, MAX_LIMIT
from receiver.http_api.submissions import KINDS
from store.records import DeliveryState, Status

Problems: TypeAlias = Mapping[int | str, str]
"""Refusals and what they say, by status; `4XX` for those that are somebody else's to choose."""


class Group(Enum):
    """A heading; the value says what is below it."""

    PROVIDER_API = "The provider's own API: a client changes its base URL and its key."
    JOBS = "Jobs, with everything that we know of them."
    STREAMS = "Event streams: each stored event once and in order."
    RELAYS = "The webhooks that we send."
    CALLBACKS = "What the provider calls."
    PROBES = "For operators and their machines."


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter or a header."""

    name: str
    schema: Schema
    told: str
    place: str = "query"
    required: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a status says; `schema` names the document in it, and None stands for an empty body."""

    told: str
    schema: str | None = None
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str | None = None
    """An example, where the body is no JSON."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. What every one with its credential can answer is not repeated here."""

    name: str
    group: Group
    told: str
    answers: Mapping[int, Answer]
    problems: Problems = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    body: str | None = None
    """The schema of the request's body."""
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
    "The same key and body make no second job, for 7 days: the first answer comes again.",
    "header",
)
_PREFER = Parameter(
    "Prefer",
    {"type": "string", "examples": ["wait=30"]},
    f"`wait=N`: hold the answer until the job is done, at most {LONGEST_WAIT} seconds.",
    "header",
)
_PAGE = (
    Parameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        "How many, at most.",
    ),
    Parameter("cursor", _TEXT, "The `next_cursor` of the page before."),
    Parameter("user", _TEXT, "Another user's; for admin keys."),
)
_RESUME = (
    Parameter("Last-Event-ID", _TEXT, "The last `id` seen: every later event comes.", "header"),
    Parameter("last_event_id", _TEXT, "The same, where no header can be set."),
)
_REPLAYED: Final = {"Idempotency-Replayed": "`true` where this answer was given before."}

# --- problems that several have -------------------------------------------------------------------

_NO_JOB: Final = "There is no such job, or it is another user's."
_ADMIN_ONLY: Final[Problems] = {
    403: "Only an admin key may name a user.",
    404: "There is no such user.",
}
_SUBMISSION: Final[Problems] = {
    400: "The body breaks a rule (`errors` names each), or is no JSON object.",
    409: "The first request with this Idempotency-Key still waits for its answer.",
    422: "The Idempotency-Key was used with another body.",
}

# --- the provider's own API -----------------------------------------------------------------------


def _drop_in(name: str, told: str, body: str) -> Operation:
    return Operation(
        name,
        Group.PROVIDER_API,
        told,
        {200: Answer("Taken; it is on disk.", "Accepted", headers=_REPLAYED)},
        {
            **_SUBMISSION,
            402: "The provider wants to be paid first.",
            502: "The provider refuses the operator's key.",
            "4XX": "The provider refused it, in its words; `request_id` names the failed job.",
        },
        (_IDEMPOTENCY_KEY,),
        body,
    )


CREATE_MOVIE = _drop_in("createMovie", "Make a movie of one prompt", "CreateMovie")
CREATE_NARRATIVE = _drop_in("createNarrative", "Make a movie of several lines", "CreateNarrative")
STATUS = Operation(
    "status",
    Group.PROVIDER_API,
    "How a job stands, as the provider's API tells it",
    {200: Answer("From our store; it never waits for the provider.", "Status")},
    {400: "`request_id` is missing.", 404: _NO_JOB},
    (
        Parameter(
            "request_id",
            {"type": "string", "minLength": 1},
            "Our id, or the provider's.",
            required=True,
        ),
    ),
)

# --- jobs -----------------------------------------------------------------------------------------

CREATE_JOB = Operation(
    "createJob",
    Group.JOBS,
    "Submit a job",
    {
        202: Answer(
            "It is on disk; the provider is asked after that.",
            "Job",
            headers={
                **_REPLAYED,
                "Location": "The job's path.",
                "Preference-Applied": "The `wait` that was taken.",
            },
        )
    },
    {**_SUBMISSION, 410: "The job of this Idempotency-Key has been removed since."},
    (_IDEMPOTENCY_KEY, _PREFER),
    "CreateJob",
)
LIST_JOBS = Operation(
    "listJobs",
    Group.JOBS,
    "Jobs, newest first",
    {200: Answer("A page of them.", "Jobs")},
    {400: "A parameter is unknown, given twice, or cannot be used.", **_ADMIN_ONLY},
    (
        Parameter("status", {"enum": list(Status)}, "In this status only."),
        Parameter("kind", {"enum": list(KINDS)}, "Of this kind only."),
        Parameter("created_after", _TIME, "Created after this moment."),
        Parameter("created_before", _TIME, "Created before this moment."),
        Parameter("metadata.KEY", _TEXT, "With this value in the metadata member KEY."),
        *_PAGE,
    ),
)
SHOW_JOB = Operation(
    "showJob",
    Group.JOBS,
    "One job",
    {
        200: Answer(
            "The job.",
            "Job",
            headers={"ETag": "Its `seq`.", "Retry-After": "When to ask again; until it is done."},
        ),
        304: Answer("Nothing has changed since the ETag that was given."),
    },
    {404: _NO_JOB},
    (Parameter("If-None-Match", _TEXT, "An ETag of this job.", "header"),),
)
JOB_HISTORY = Operation(
    "jobHistory",
    Group.JOBS,
    "Everything that happened to a job, oldest first",
    {200: Answer("Events, callbacks, polls that changed something, relay attempts.", "History")},
    {404: _NO_JOB},
)
JOB_RESULT = Operation(
    "jobResult",
    Group.JOBS,
    "To the result itself",
    {302: Answer("To a link that still opens.", headers={"Location": "The link."})},
    {404: _NO_JOB, 409: "There is no result, or not yet."},
)
CANCEL_JOB = Operation(
    "cancelJob",
    Group.JOBS,
    "Cancel a job",
    {202: Answer("It is CANCELLED. What was not yet sent is never sent.", "Job")},
    {
        403: "It is another user's: an admin key reads, no more.",
        404: _NO_JOB,
        409: "It is finished already; `job` shows it.",
    },
)

# --- streams --------------------------------------------------------------------------------------

_STREAM_TEXT: Final = (
    'retry: 2817\n\nevent: update\nid: 12.9f3c\ndata: {"request_id":"' + JOB_ID + '", …}\n\n'
)
_STREAM = Answer(
    "`snapshot`, then an `update` for each event with the job as it stood, a `reset` where the"
    " cursor is not known, and a `done` at the end of a job's own stream.",
    media_type="text/event-stream",
    text=_STREAM_TEXT,
)
FOLLOW_JOB = Operation(
    "followJob",
    Group.STREAMS,
    "Follow one job until it is done",
    {200: _STREAM, 204: Answer("The client has seen all of a finished job: an EventSource stops.")},
    {404: _NO_JOB},
    _RESUME,
)
FOLLOW_USER = Operation(
    "followUser",
    Group.STREAMS,
    "Follow all jobs of a user",
    {200: _STREAM},
    _ADMIN_ONLY,
    (*_RESUME, _PAGE[-1]),
)
CREATE_TICKET = Operation(
    "createStreamTicket",
    Group.STREAMS,
    "A link that a browser's EventSource can open for an hour",
    {200: Answer("A secret, like a key.", "Ticket")},
    {400: "The body is no JSON object, or names no job.", 404: _NO_JOB},
    body="TicketRequest",
    body_required=False,
)

# --- relays ---------------------------------------------------------------------------------------

LIST_DELIVERIES = Operation(
    "listDeliveries",
    Group.RELAYS,
    "Webhooks to you, newest first, with their attempts",
    {200: Answer("A page of them.", "Deliveries")},
    {400: "A parameter is unknown, given twice, or cannot be used.", **_ADMIN_ONLY},
    (Parameter("state", {"enum": list(DeliveryState)}, "In this state only."), *_PAGE),
)
RETRY_DELIVERY = Operation(
    "retryDelivery",
    Group.RELAYS,
    "Send a webhook again",
    {202: Answer("One attempt at once, then the schedule from its beginning.", "Delivery")},
    {404: "There is no such delivery, or it is another user's.", 409: "It is pending anyway."},
)

# --- the provider, and operators ------------------------------------------------------------------

CALLBACK = Operation(
    "callback",
    Group.CALLBACKS,
    "The provider says how a job stands",
    {200: Answer("`accepted`: on disk. `duplicate`: it was before.", "CallbackReceipt")},
    {
        400: "The body is no JSON object. It is stored, and the job is polled.",
        401: "This is no callback address of ours.",
        409: "The body names another job than the address. It is stored, and the job is polled.",
        410: "The job is not kept any more.",
    },
    body="Callback",
)
LIVEZ = Operation(
    "livez", Group.PROBES, "Does the process answer?", {200: Answer("It does.", "Health")}
)
READYZ = Operation(
    "readyz",
    Group.PROBES,
    "Could a callback be stored now?",
    {200: Answer("It could.", "Health")},
    {503: "It could not, or the service is stopping; `code` has the reason in one word."},
)
METRICS = Operation(
    "metrics",
    Group.PROBES,
    "For Prometheus",
    {200: Answer("The text format.", media_type="text/plain", text="receiver_relay_backlog 0.0\n")},
)
