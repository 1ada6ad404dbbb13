"""Observations of a job: the input of `lifecycle.decide`.

They come from providers (callbacks, and answers to all kinds of calls), workers (timeouts,
downloads) and users (cancellation). Nothing else changes what users see of a job.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from receiver.domain.answers import Report, StatusAnswer, SubmitAnswer
from store.records.jobs import Waited
from store.records.times import Millis


@dataclass(frozen=True, slots=True)
class SubmissionBegins:
    """A worker is about to send the job; committed before the first byte is sent.

    Number and lease together identify one attempt of one worker: two workers never lease a queued
    job at the same time, so with equal numbers their leases end at different times.
    """

    attempt: int
    """Attempt number, from 1. Unless it is the job's next one, nothing changes."""
    lease_until: Millis
    """End of the lease: without a stored answer by then, the job becomes unconfirmed."""
    waited: Waited | None = None
    """What the job had waited for; None if it did not wait."""


@dataclass(frozen=True, slots=True)
class SubmissionEnded:
    """The answer to an attempt, which need not be the latest: a worker may have been suspended, or
    may report an answer again if it did not learn that the first report was stored."""

    begun: SubmissionBegins
    answer: SubmitAnswer


@dataclass(frozen=True, slots=True)
class SubmissionLost:
    """The job may have been sent, and the answer is lost: the process that was sending it is gone,
    or the database is a copy, and a job queued there may have been sent after the copy was made."""

    reason: str


@dataclass(frozen=True, slots=True)
class CallbackReceived:
    """A callback has come to this job's own URL, and names no other job."""

    callback_id: int
    report: Report
    verified: bool = False
    """Whether it carried a valid signature of the provider."""


@dataclass(frozen=True, slots=True)
class StatusCallEnded:
    """A status call ended. The same answer may be reported again, as a submission's may."""

    number: int
    """Number of the call, from 1: `Tracking.polls` when it began, plus one. If `polls` is not lower
    any more, this answer has been applied already, or another one since the call began."""
    asked_at: Millis
    """When the call began. The answer may be older than anything received since."""
    asked_id: str
    """The provider_request_id asked about. If the job has another by now, the answer is ignored."""
    answer: StatusAnswer


@dataclass(frozen=True, slots=True)
class TimeoutReached:
    """A timeout of the job may have been reached."""


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The user has cancelled the job."""

    can_cancel: frozenset[str] = frozenset()
    """The providers that can be asked to cancel a job."""


@dataclass(frozen=True, slots=True)
class CancelAnswer:
    """The provider was asked to cancel the job."""

    outcome: str
    """`accepted`, `refused`, `unavailable`, or `not_sent` if it certainly did not arrive."""
    status_code: int | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class LinkRenewed:
    """A status call returned a fresh link for the result."""

    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FileStored:
    """A file of the result is complete and durable in the archive."""

    bytes: int
    content_type: str
    sha256: str
    """Hexadecimal."""
    key: str
    """Its key in the archive."""


@dataclass(frozen=True, slots=True)
class FileFailed:
    """An attempt to download a file has failed."""

    error: str
    """An error code, optionally followed by a colon and details."""
    final: bool = False
    """Whether a retry cannot succeed."""


@dataclass(frozen=True, slots=True)
class DownloadEnded:
    """An attempt to download a file of the result has ended."""

    index: int
    """Index of the file in `Job.archive`."""
    tries: int
    """Attempts at this file before this one."""
    outcome: FileStored | FileFailed


Observation: TypeAlias = (
    SubmissionBegins
    | SubmissionLost
    | SubmissionEnded
    | CallbackReceived
    | StatusCallEnded
    | TimeoutReached
    | CancelRequested
    | CancelAnswer
    | LinkRenewed
    | DownloadEnded
)
