"""Documents of the API as types, for the type checker and for the OpenAPI document.

The job itself is in `domain/documents.py`. Every member is required unless it is `NotRequired`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypeAliasType, TypedDict

from receiver.domain.documents import (
    A_JOB,
    AN_ID,
    MESSAGE_CHARACTERS,
    Count,
    Evidence,
    Job,
    JobId,
    JobStatus,
    Progress,
    Result,
    Time,
    UserName,
)
from receiver.http_api import errors
from receiver.json_schema import document, enum_of
from receiver.providers.registry import API_OF
from store.records import callbacks

KnownProvider = TypeAliasType("KnownProvider", Annotated[str, enum_of(API_OF)])
File = TypeAliasType("File", bytes)
Receipt = TypeAliasType("Receipt", Annotated[str, enum_of(["accepted", "duplicate"])])


class Page(TypedDict):
    """One page of a list."""

    next_cursor: str | None
    """Pass it as `cursor` to get the next page; null on the last one."""


class Health(TypedDict):
    """All is well."""

    status: Literal["ok"]


class Accepted(TypedDict):
    """A job is durably stored."""

    request_id: JobId


class CallbackReceipt(TypedDict):
    """A callback is durably stored."""

    status: Receipt


# --- errors ---------------------------------------------------------------------------------------


class Fault(TypedDict):
    """One error in a body."""

    pointer: str
    detail: str


@document(extra=True, example=errors.invalid("/input/prompt", "Prompt is required").document())
class Problem(TypedDict):
    """RFC 9457. Some errors have further members."""

    type: str
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    message: str
    """The same text as `detail`."""
    code: Annotated[str, Field(pattern="^[a-z][a-z_]*$")]
    """Stable: compare this, not the texts."""
    errors: NotRequired[list[Fault]]
    """The errors in the body, each with its JSON pointer."""
    request_id: NotRequired[JobId]
    job: NotRequired[Job]


# --- the job in other forms -----------------------------------------------------------------------


@document(example=A_JOB | {"input": {"prompt": "A lighthouse at dawn"}})
class JobDetail(Job):
    """A job with its input."""

    input: Mapping[str, Any]
    """As submitted."""


class Jobs(Page):
    """A page of jobs."""

    jobs: list[Job]


@document(example={"request_id": AN_ID, "status": "IN_PROGRESS", "progress": 45})
class Status(TypedDict):
    """A job in the form of the provider's API."""

    request_id: JobId
    status: JobStatus
    progress: NotRequired[Progress]
    result: NotRequired[Result]
    message: NotRequired[Annotated[str, Field(max_length=MESSAGE_CHARACTERS)]]


# --- a job's history: one type for each kind of line ----------------------------------------------

Verdict = TypeAliasType("Verdict", Annotated[str, enum_of(callbacks.Verdict)])


class _Line(TypedDict):
    at: Time


class HistoryEvent(_Line):
    """The job changed."""

    type: Literal["event"]
    id: Annotated[str, Field(examples=["12.9f3c"])]
    job: Job


class HistoryCallback(_Line):
    """A callback was received."""

    type: Literal["callback"]
    verdict: Verdict
    """The result of processing the callback."""
    evidence: Evidence | None
    confirmed: bool | None
    bytes: Count
    body: str | None
    verified: NotRequired[bool]


class HistorySubmission(_Line):
    """The job was submitted to the provider."""

    type: Literal["submission"]
    outcome: str
    attempt: NotRequired[Count]
    reason: NotRequired[str]
    status_code: NotRequired[Count | None]
    provider_request_id: NotRequired[str | None]


class HistoryPoll(_Line):
    """A status call changed something."""

    type: Literal["poll"]
    provider_status: str | None
    status: NotRequired[JobStatus]
    denied_claims: NotRequired[bool]
    link_missing: NotRequired[bool]


class HistoryProviderCancel(_Line):
    """The provider was asked to cancel the job."""

    type: Literal["provider_cancel"]
    outcome: str
    status_code: NotRequired[Count | None]
    message: NotRequired[str | None]


class HistoryRelay(_Line):
    """A webhook was sent, or could not be."""

    type: Literal["relay"]
    delivery: str
    seq: Count
    status_code: Count | None
    error: str | None
    duration_ms: Count


HistoryLine = TypeAliasType(
    "HistoryLine",
    Annotated[
        HistoryEvent
        | HistoryCallback
        | HistorySubmission
        | HistoryPoll
        | HistoryProviderCancel
        | HistoryRelay,
        Field(discriminator="type"),
    ],
)


class History(TypedDict):
    """Everything that happened to a job, oldest first."""

    history: list[HistoryLine]


# --- users, holds and tickets ---------------------------------------------------------------------


class User(TypedDict):
    """An owner of keys."""

    user: UserName
    created_at: Time
    keys: Count
    """Active keys."""
    unfinished: Count
    """Unfinished jobs."""


class Users(Page):
    """A page of users, by name."""

    users: list[User]


class Hold(TypedDict):
    """A hold on submissions to a provider that limits our rate."""

    provider: Annotated[str, Field(examples=["samsar"])]
    user: str | None
    """Whose submissions are held; null: all users'."""
    until: Time
    request_id: JobId
    status_code: Annotated[int, Field(examples=[429])]
    """What the provider answered, 429 or 503."""


class Holds(TypedDict):
    """The current holds."""

    holds: list[Hold]


class Ticket(TypedDict):
    """A link to a stream."""

    ticket: Annotated[str, Field(examples=["eyJ1IjoxfQ.abc"])]
    url: Annotated[str, Field(examples=[f"/v1/jobs/{AN_ID}/events?ticket=eyJ1IjoxfQ.abc"])]
    expires_at: Time
