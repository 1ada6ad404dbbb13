"""What is common to all shapes: what a submission is read into, and what a job is rendered from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from store.records.jobs import FINAL_STATUSES, Status
from store.records.times import Millis

Body: TypeAlias = dict[str, Any]
"""A JSON object."""


class Refused(Exception):
    """The provider would refuse the request, with this HTTP status and in these words."""

    def __init__(self, status_code: int, detail: str) -> None:
        super().__init__(status_code, detail)
        self.status_code = status_code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Submission:
    kind: str
    input: Mapping[str, Any]
    webhook_url: str | None


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as its provider knows it."""

    id: str
    kind: str
    input: Mapping[str, Any]
    created_at: Millis
    status: Status
    progress: float | None = None
    """Percent."""
    output: Any = None
    """The result of a job that is COMPLETED, in the provider's own form."""
    error: str | None = None
    """Why the job FAILED."""

    @property
    def is_final(self) -> bool:
        return self.status in FINAL_STATUSES
