"""What can be said of a job, and by whom: the input of `lifecycle.decide`.

Providers make the answers of submissions and status calls, the inbox makes what a callback says,
workers tell of time that has passed, and a user cancels. Nothing else moves a job.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from store.records import Millis, Status


@dataclass(frozen=True, slots=True)
class Report:
    """What the provider says of a job, read leniently from whatever shape it came in."""

    status: Status | None
    """What its word means to us; an unknown word is IN_PROGRESS, no word at all is None."""
    word: str | None
    """Its own word, as it came, cleaned of what no text may hold."""
    progress: float | None
    """0 to 100, or None where it was absent or no such number."""
    result: Mapping[str, Any] | None
    """Whatever it gave; holds `videoUrl` exactly when a link was found, under whatever name."""
    message: str | None
    """Its text, of success or failure."""
    provider_request_id: str | None
    """The id that it names, as text, where it names one of at most 200 characters."""

    @property
    def has_link(self) -> bool:
        """Whether there is something to open: COMPLETED counts only with it."""
        return self.result is not None and "videoUrl" in self.result


# --- the answer of a submission; `outcome` is its name in metrics, logs and traces ----------------


@dataclass(frozen=True, slots=True)
class SubmitAccepted:
    """The provider took the job and named it."""

    outcome: ClassVar = "accepted"
    provider_request_id: str | None
    """None only where the id turned out to be another job's, and so cannot be recorded."""


@dataclass(frozen=True, slots=True)
class SubmitRefused:
    """A 4xx answer other than 429: the provider did not take the job, and nothing was paid."""

    outcome: ClassVar = "refused"
    status_code: int
    message: str

    @property
    def by_credentials(self) -> bool:
        """Whether it is the operator's key that was refused, not this job."""
        return self.status_code in (401, 403)


@dataclass(frozen=True, slots=True)
class SubmitNotSent:
    """The job surely never reached the provider, or it said "later" (429, 503 with Retry-After)."""

    outcome: ClassVar = "not_sent"
    reason: str
    retry_after: Millis | None = None
    """The provider's wish in milliseconds from now; it holds every submission, not only this."""


@dataclass(frozen=True, slots=True)
class SubmitAmbiguous:
    """Bytes may have left, and no readable answer came: it may be running, and be paid for."""

    outcome: ClassVar = "ambiguous"
    reason: str


SubmitAnswer: TypeAlias = SubmitAccepted | SubmitRefused | SubmitNotSent | SubmitAmbiguous


# --- the answer of a status call; `outcome` as above ----------------------------------------------


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The provider answered a status call with a state."""

    outcome: ClassVar = "reported"
    report: Report
    retry_after: Millis | None = None
    """The provider's wish, in milliseconds from now; without meaning where the state is final."""


@dataclass(frozen=True, slots=True)
class StatusMissing:
    """404: it does not know the job, now; that passes, often."""

    outcome: ClassVar = "missing"
    message: str
    retry_after: Millis | None = None
    """The provider's wish, in milliseconds from now."""


@dataclass(frozen=True, slots=True)
class StatusUnavailable:
    """No answer about the job could be had: timeout, reset, 5xx, 429, 401, rubbish, breaker."""

    outcome: ClassVar = "unavailable"
    reason: str
    retry_after: Millis | None = None
    """The provider's wish, in milliseconds from now."""
    by_credentials: bool = False
    """401 or 403: the operator's key is refused; opens the breaker at once, fails no job."""


StatusAnswer: TypeAlias = StatusReport | StatusMissing | StatusUnavailable


# --- what else happens to a job -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SubmissionBegins:
    """A worker is about to send it; committed before the first byte leaves."""

    lease_until: Millis
    """When the attempt is over for sure, whatever became of the worker."""


@dataclass(frozen=True, slots=True)
class SubmissionHeld:
    """The provider asked for patience: no submission before `until`."""

    until: Millis


@dataclass(frozen=True, slots=True)
class SubmissionInterrupted:
    """The process that was sending it is gone, and its answer with it."""

    reason: str


@dataclass(frozen=True, slots=True)
class RestoredFromBackup:
    """The database is a copy: what it shows as unsent may have been sent since."""


@dataclass(frozen=True, slots=True)
class CallbackSaid:
    """A stored callback of this job's own address, read."""

    callback_id: int
    received_at: Millis
    report: Report
    id_is_taken: bool = False
    """Whether another job is known to hold the provider_request_id that it names."""


@dataclass(frozen=True, slots=True)
class Polled:
    """A status call ended."""

    asked_at: Millis
    """When the call began: it says nothing of what came after that."""
    asked_id: str
    """The provider_request_id that was asked for: an answer about another one is no news."""
    answer: StatusAnswer


@dataclass(frozen=True, slots=True)
class TimePassed:
    """A moment came at which the job may have to move by itself."""


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Its user does not want it any more."""


@dataclass(frozen=True, slots=True)
class LinkRenewed:
    """A status call gave a fresh link for a result that has one."""

    result: Mapping[str, Any]


Observation: TypeAlias = (
    SubmissionBegins
    | SubmissionHeld
    | SubmissionInterrupted
    | RestoredFromBackup
    | SubmitAccepted
    | SubmitRefused
    | SubmitNotSent
    | SubmitAmbiguous
    | CallbackSaid
    | Polled
    | TimePassed
    | CancelRequested
    | LinkRenewed
)
