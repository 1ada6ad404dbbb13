"""What providers say about a job: reports, and answers to submissions and status calls."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar, TypeAlias

from store.records.jobs import Status
from store.records.times import Millis


@dataclass(frozen=True, slots=True)
class Report:
    """The provider's report on a job, parsed leniently."""

    status: Status | None = None
    """Our status for `provider_status`: IN_PROGRESS if that is unknown, None if there is none."""
    provider_status: str | None = None
    """The provider's word for it, without characters that cannot be stored."""
    progress: float | None = None
    """0 to 100; None if absent or not such a number."""
    result: Mapping[str, Any] | None = None
    """None if the report has no result; then COMPLETED does not count yet."""
    message: str | None = None
    """The provider's text about success or failure."""
    provider_request_id: str | None = None
    """The provider's id for the job, as text; None if absent or longer than 200 characters."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else clients of the provider's own API read, such as logs."""
    result_is_gone: bool = False
    """Whether the job completed, but the provider has removed its result."""
    is_only_word: bool = False
    """Whether no status call could confirm the report: its end counts as it is."""
    measured: Mapping[str, Decimal] = field(default_factory=dict)
    """What the provider measured of the job, by its name in price lists."""
    measures_apart: frozenset[str] = frozenset()
    """What only the answer with the result measures: a job with such a price needs that answer."""

    @property
    def has_unknown_word(self) -> bool:
        """Whether the provider's word says nothing to us: it is shown, and decides nothing."""
        return self.status is None and self.provider_status is not None

    @property
    def lacks_result(self) -> bool:
        """Whether the job is COMPLETED, but its result must come from a later status call."""
        return self.status is Status.COMPLETED and self.result is None and not self.result_is_gone


# --- the answer to a submission; `outcome` is its name in metrics, logs and traces ----------------


@dataclass(frozen=True, slots=True)
class SubmitAccepted:
    """The provider accepted the job and gave it an id."""

    outcome: ClassVar = "accepted"
    provider_request_id: str | None
    """None only if the id belongs to another job, and so cannot be recorded."""
    urls: Mapping[str, str] | None = None
    """The job's URLs at the provider, by purpose, if the answer had any."""
    taken_id: str | None = None
    """The id in the answer, if another job has it."""


@dataclass(frozen=True, slots=True)
class SubmitRefused:
    """A 4xx answer other than 408 and 429: the provider did not accept the job, and nothing was
    paid."""

    outcome: ClassVar = "refused"
    status_code: int
    message: str

    @property
    def credentials_refused(self) -> bool:
        """Whether the operator's key was refused, not this job."""
        return self.status_code in (401, 403)


@dataclass(frozen=True, slots=True)
class SubmitNotSent:
    """The job certainly did not reach the provider, or was refused for now (429, or 503 with
    Retry-After)."""

    outcome: ClassVar = "not_sent"
    reason: str
    retry_after: Millis | None = None
    """The provider's Retry-After, in milliseconds from now. This job waits the full time, unless
    its deadline comes first."""
    status_code: int | None = None
    """429 or 503 if the provider refused the job for now: this may hold other submissions too."""


@dataclass(frozen=True, slots=True)
class SubmitAmbiguous:
    """Bytes may have been sent, and there was no answer or one that settles nothing (3xx, 408, 5xx,
    or 2xx without a readable id): the job may be running and paid for."""

    outcome: ClassVar = "ambiguous"
    reason: str


SubmitAnswer: TypeAlias = SubmitAccepted | SubmitRefused | SubmitNotSent | SubmitAmbiguous


# --- the answer to a status call; `outcome` as above ----------------------------------------------


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The provider answered a status call with a status, or with a word that we do not know."""

    report: Report
    retry_after: Millis | None = None
    """The provider's Retry-After, in milliseconds from now; unused if the report is an outcome."""

    @property
    def outcome(self) -> str:
        return "unknown_word" if self.report.has_unknown_word else "reported"


@dataclass(frozen=True, slots=True)
class StatusMissing:
    """404: the provider does not know the job. This is often temporary."""

    outcome: ClassVar = "missing"
    retry_after: Millis | None = None
    """The provider's Retry-After, in milliseconds from now."""
    is_json: bool = True
    """Whether the body is a JSON object, as in the 404s of all providers."""


@dataclass(frozen=True, slots=True)
class StatusUnavailable:
    """No usable answer: a timeout, a reset, any answer but 2xx and 404, an unreadable body, a
    pause of the calls, or a provider that is not configured."""

    outcome: ClassVar = "unavailable"
    reason: str
    retry_after: Millis | None = None
    """The provider's Retry-After, in milliseconds from now."""
    credentials_refused: bool = False
    """401 or 403: the operator's key was refused. Calls pause at once, but no job fails."""
    only_this_job: bool = False
    """The provider is up, but its answer is of no use for this job: no reason to pause."""


StatusAnswer: TypeAlias = StatusReport | StatusMissing | StatusUnavailable
