"""What is common to all shapes: what a submission is read into, and what a job is rendered from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from store.records.jobs import FINAL_STATUSES, Job, Status
from store.records.times import Millis

Body: TypeAlias = dict[str, Any]
"""A JSON object."""

_RESULT: Final = '{"output":'
"""How such a stored result begins."""
_encode: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Refused(Exception):
    """The provider would refuse the request, with this HTTP status and in these words."""

    def __init__(self, status_code: int, detail: str, member: str = "") -> None:
        super().__init__(status_code, detail)
        self.status_code = status_code
        self.detail = detail
        self.member = member
        """Of the body, at fault."""


@dataclass(frozen=True, slots=True)
class Submission:
    kind: str
    input: Mapping[str, Any]
    webhook_url: str | None


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as a client of its provider sees it."""

    id: str
    kind: str
    created_at: Millis
    status: Status
    input: str = "{}"
    """JSON: it can be a megabyte, and is passed on as it is."""
    progress: float | None = None
    """Percent."""
    output: str = "null"
    """The result of a job that is COMPLETED, in the provider's own form: JSON, likewise."""
    error: str | None = None
    """Why the job FAILED."""
    done_at: Millis | None = None
    webhook_url: str | None = None
    webhook_events: tuple[str, ...] = ()
    """By their names in `webhookEvents`."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What the provider said beside: `Report.details`."""

    @property
    def is_final(self) -> bool:
        return self.status in FINAL_STATUSES


def view_of(job: Job, job_input: str = "{}", output: str = "null") -> JobView:
    """A stored job; input and output are JSON, and not needed for everything."""
    return JobView(
        id=job.id,
        kind=job.kind,
        created_at=job.created_at,
        status=job.status,
        input=job_input,
        progress=job.progress,
        output=output,
        error=job.error.message if job.error else None,
        done_at=job.done_at,
        webhook_url=job.webhook_url,
        webhook_events=job.webhook_events,
        details=job.details or {},
    )


def output_in(result: str | None) -> str:
    """The output in the JSON of a stored result that has this member alone."""
    return result[len(_RESULT) : -1] if result and result.startswith(_RESULT) else "null"


def encode(body: Mapping[str, Any], **members: str) -> bytes:
    """The object as one line of ASCII JSON, with further members that are JSON already."""
    text = _encode(body)
    for name, value in members.items():
        text = f'{text[:-1]}{"," if len(text) > 2 else ""}"{name}":{value}}}'
    return text.encode("ascii")
