"""Documents of the API as types, for the type checker and for the OpenAPI document.

The job itself is in `domain/documents.py`. Every member is required unless it is `NotRequired`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, TypeAlias

from pydantic import Field
from typing_extensions import TypeAliasType, TypedDict

from receiver.domain.documents import (
    A_JOB,
    A_TIME,
    AN_ID,
    MESSAGE_CHARACTERS,
    Count,
    Job,
    JobId,
    JobStatus,
    Progress,
    Result,
    Time,
    UserName,
)
from receiver.json_schema import document, has_schema, one_of
from receiver.providers.registry import API_OF

KnownProvider = TypeAliasType(
    "KnownProvider",
    Annotated[str, one_of(API_OF, "All known providers, whether they run here or not.")],
)
File = TypeAliasType(
    "File", Annotated[bytes, has_schema({"type": "string", "format": "binary", "examples": ["…"]})]
)
Receipt = TypeAliasType("Receipt", Annotated[str, one_of(["accepted", "duplicate"])])
NextCursor: TypeAlias = (
    Annotated[
        str, Field(description="Pass it as `cursor` to get the next page; null on the last one.")
    ]
    | None
)


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


@document(
    extra=True,
    example={
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "Prompt is required",
        "message": "Prompt is required",
        "code": "invalid_request",
        "errors": [{"pointer": "/input/prompt", "detail": "Prompt is required"}],
    },
)
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


class Jobs(TypedDict):
    """A page of jobs."""

    jobs: list[Job]
    next_cursor: NextCursor


@document(example={"request_id": AN_ID, "status": "IN_PROGRESS", "progress": 45})
class Status(TypedDict):
    """A job in the form of the provider's API."""

    request_id: JobId
    status: JobStatus
    progress: NotRequired[Progress]
    result: NotRequired[Result]
    message: NotRequired[Annotated[str, Field(max_length=MESSAGE_CHARACTERS)]]


# --- users, holds and tickets ---------------------------------------------------------------------


class User(TypedDict):
    """An owner of keys."""

    user: UserName
    created_at: Time
    keys: Count
    """Active keys."""
    unfinished: Count
    """Unfinished jobs."""


class Users(TypedDict):
    """A page of users, by name."""

    users: list[User]
    next_cursor: NextCursor


@document(
    example={
        "provider": "samsar",
        "user": None,
        "until": A_TIME,
        "request_id": AN_ID,
        "status_code": 429,
    }
)
class Hold(TypedDict):
    """Submissions that wait because a provider said "later"."""

    provider: str
    user: str | None
    """Whose submissions are held; null: all users'."""
    until: Time
    request_id: JobId
    status_code: int
    """What the provider answered, 429 or 503."""


class Holds(TypedDict):
    """The current holds."""

    holds: list[Hold]


@document(
    example={
        "ticket": "eyJ1IjoxfQ.abc",
        "url": f"/v1/jobs/{AN_ID}/events?ticket=eyJ1IjoxfQ.abc",
        "expires_at": A_TIME,
    }
)
class Ticket(TypedDict):
    """A link to a stream."""

    ticket: str
    url: str
    expires_at: Time
