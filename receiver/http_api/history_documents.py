"""A job's history as types: one for each kind of line."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypeAliasType, TypedDict

from receiver.domain.documents import A_TIME, Count, Evidence, Job, JobStatus, Time
from receiver.json_schema import document, one_of
from store import records

Verdict = TypeAliasType(
    "Verdict", Annotated[records.Verdict, one_of(records.Verdict, "What was done with a callback.")]
)


class _Line(TypedDict):
    at: Time


class HistoryEvent(_Line):
    """The job changed."""

    type: Literal["event"]
    id: str
    job: Job


class HistoryCallback(_Line):
    """A callback was received."""

    type: Literal["callback"]
    verdict: Verdict
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


@document(
    example={
        "history": [
            {"at": A_TIME, "type": "submission", "outcome": "accepted", "attempt": 1},
            {"at": A_TIME, "type": "poll", "provider_status": "RENDERING", "status": "IN_PROGRESS"},
        ]
    }
)
class History(TypedDict):
    """Everything that happened to a job, oldest first."""

    history: list[HistoryLine]
