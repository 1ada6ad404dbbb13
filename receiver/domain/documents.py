"""The types of the job document that `serialization` writes, with the JSON Schema of each member.

Enums, nested objects and unions are named, because client generators create a type for each name.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field
from typing_extensions import TypeAliasType, TypedDict

from receiver.json_schema import document, enum_of, with_schema
from store.records import archive, jobs

LABEL_CHARACTERS: Final = 120
MESSAGE_CHARACTERS: Final = 8_192
PROVIDER_STATUS_CHARACTERS: Final = 64
METADATA_MEMBERS: Final = 16
METADATA_NAME: Final = 64
METADATA_VALUE: Final = 512
_NO_NUL: Final = "^[^\\u0000]*$"

AN_ID: Final = "job_01KE4XH9T5M0R8QW2V3Y6Z7ABC"
"""The job id in all examples."""
A_TIME: Final = "2026-01-02T03:04:05.678Z"


JobId = Annotated[
    str,
    Field(
        pattern="^job_[0-9A-HJKMNP-TV-Z]{26}$",
        description="The job's id. Ids sort by creation time.",
        examples=[AN_ID],
    ),
]
Time = Annotated[str, with_schema({"type": "string", "format": "date-time", "examples": [A_TIME]})]
Count = Annotated[int, Field(ge=0)]
Progress = Annotated[float | int, with_schema({"type": "number", "minimum": 0, "maximum": 100})]
UserName = Annotated[str, Field(examples=["ada"])]
Kind = TypeAliasType("Kind", str)
JobStatus = TypeAliasType("JobStatus", Annotated[str, enum_of(jobs.Status)])
Phase = TypeAliasType("Phase", Annotated[str, enum_of(jobs.Phase)])
Evidence = TypeAliasType("Evidence", Annotated[str, enum_of(jobs.Evidence)])
ErrorCode = TypeAliasType("ErrorCode", Annotated[str, enum_of(jobs.ErrorCode)])
FileState = TypeAliasType("FileState", Annotated[str, enum_of(archive.FileState)])
Metadata = TypeAliasType(
    "Metadata",
    Annotated[
        Mapping[str, str],
        with_schema(
            {
                "type": "object",
                "description": "Your own data: returned with the job and in webhooks, usable as a"
                " filter, never sent upstream.",
                "maxProperties": METADATA_MEMBERS,
                "propertyNames": {"minLength": 1, "maxLength": METADATA_NAME, "pattern": _NO_NUL},
                "additionalProperties": {
                    "type": "string",
                    "maxLength": METADATA_VALUE,
                    "pattern": _NO_NUL,
                },
                "examples": [{"order": "4711"}],
            }
        ),
    ],
)
Result = TypeAliasType(
    "Result",
    Annotated[
        Mapping[str, Any],
        with_schema(
            {
                "type": "object",
                "description": "As the provider returned it.",
                "properties": {
                    "videoUrl": {
                        "type": "string",
                        "description": "The link; Samsar's results have one.",
                    },
                    "truncated": {
                        "type": "boolean",
                        "description": "true if it was over 64 KiB: `GET /v1/jobs/{job_id}/result`"
                        " returns the whole.",
                    },
                },
                "additionalProperties": True,
                "examples": [{"videoUrl": "https://cdn.example.com/67b1c0ffee.mp4"}],
            }
        ),
    ],
)

A_JOB: Final[dict[str, Any]] = {
    "request_id": AN_ID,
    "user": "ada",
    "provider": "samsar",
    "provider_request_id": "67b1c0ffee",
    "kind": "create_movie",
    "label": "A lighthouse at dawn",
    "status": "IN_PROGRESS",
    "phase": "rendering",
    "done": False,
    "progress": 45,
    "seq": 4,
    "result": None,
    "message": None,
    "error": None,
    "provider_status": "IN_PROGRESS",
    "evidence": "callback",
    "metadata": {"order": "4711"},
    "archive": [],
    "created_at": A_TIME,
    "updated_at": A_TIME,
    "done_at": None,
    "links": {
        "self": f"/v1/jobs/{AN_ID}",
        "events": f"/v1/jobs/{AN_ID}/events",
        "history": f"/v1/jobs/{AN_ID}/history",
        "cancel": f"/v1/jobs/{AN_ID}/cancel",
    },
}


class JobError(TypedDict):
    """Why a job ended without a result."""

    code: ErrorCode
    message: str
    retryable: bool
    """Whether a new submission can succeed without the risk of paying twice."""
    may_have_been_billed: bool


class ArchivedFile(TypedDict):
    """One file of a result, and whether it is kept."""

    link: str
    """As in the result; only its first 8,192 characters if it is longer."""
    state: FileState
    bytes: Count | None
    content_type: str | None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None
    error: str | None
    """Why the last attempt failed."""


class Links(TypedDict):
    """Paths of the job."""

    self: str
    events: str
    history: str
    cancel: str


@document(example=A_JOB)
class Job(TypedDict):
    """One submission and its current state."""

    request_id: JobId
    user: UserName
    provider: str
    provider_request_id: str | None
    kind: Kind
    label: Annotated[str, Field(max_length=LABEL_CHARACTERS)] | None
    """The beginning of the prompt, on one line."""
    status: JobStatus
    phase: Phase
    """The step that the job is in; finer than the status."""
    done: bool
    progress: Progress | None
    seq: Annotated[int, Field(ge=1)]
    """Number of the job's events so far."""
    result: Result | None
    message: Annotated[str, Field(max_length=MESSAGE_CHARACTERS)] | None
    error: JobError | None
    provider_status: Annotated[str, Field(max_length=PROVIDER_STATUS_CHARACTERS)] | None
    evidence: Evidence | None
    """The source of the current status."""
    metadata: Metadata
    archive: list[ArchivedFile]
    """The files of the result; empty if none are kept."""
    created_at: Time
    updated_at: Time
    done_at: Time | None
    links: Links
