"""The job as JSON: the types of the document that `serialization` writes.
`receiver/http_api/openapi.json` describes each member."""

from collections.abc import Mapping
from typing import Any, Final, TypedDict

LABEL_CHARACTERS: Final = 120


class JobError(TypedDict):
    """Why a job ended without a result."""

    code: str
    message: str
    retryable: bool
    may_have_been_billed: bool


class Cost(TypedDict):
    """What a job costs, as far as it is known."""

    amount: str
    currency: str
    state: str


class ArchivedFile(TypedDict):
    """One file of a result, and whether it is kept."""

    link: str
    state: str
    bytes: int | None
    content_type: str | None
    sha256: str | None
    error: str | None


class Links(TypedDict):
    """Paths of the job."""

    self: str
    events: str
    history: str
    cancel: str


class Job(TypedDict):
    """One submission and its current state. Times are RFC 3339, in UTC."""

    request_id: str
    user: str
    provider: str
    provider_request_id: str | None
    kind: str
    label: str | None
    status: str
    phase: str
    done: bool
    progress: float | None
    seq: int
    result: Mapping[str, Any] | None
    message: str | None
    error: JobError | None
    provider_status: str | None
    evidence: str | None
    metadata: Mapping[str, str]
    cost: Cost | None
    archive: list[ArchivedFile]
    created_at: str
    updated_at: str
    done_at: str | None
    links: Links
