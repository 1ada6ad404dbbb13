"""A job as stored, and what its fields can say."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from store.records.archive import ArchivedFile
from store.records.costs import Cost
from store.records.times import Due, Millis


class Status(StrEnum):
    """The status a user sees. It never goes back, and the last three are final, except that the
    provider's own outcome replaces a failure that we declared, once."""

    PENDING = "PENDING"
    """Stored, and the provider has not started (or has not been asked yet)."""

    IN_PROGRESS = "IN_PROGRESS"
    """The provider is working on it. Unknown provider statuses also map to this."""

    COMPLETED = "COMPLETED"
    """Done, with a result."""

    FAILED = "FAILED"
    """Ended without a result: the provider said so, refused it, or we gave up (`ErrorCode`)."""

    CANCELLED = "CANCELLED"
    """Cancelled by its user or by the provider."""


class Phase(StrEnum):
    """The state of a job, finer than `Status` and shown beside it."""

    QUEUED = "queued"
    """On disk, and the provider has not accepted it: nothing has been sent, or the attempt
    certainly sent nothing, or the provider answered "later" (429, 503 with Retry-After)."""

    SUBMITTING = "submitting"
    """A submission is under way. This phase is committed before the first byte is sent; a job
    found here after its lease has ended becomes `submit_unconfirmed` and is never sent again."""

    SUBMIT_UNCONFIRMED = "submit_unconfirmed"
    """Bytes may have been sent, and there was no usable answer. The job's callback or a late
    answer to the submission resolves it; otherwise it fails at its deadline."""

    ACCEPTED = "accepted"
    """The provider has it (proved by an answer or a callback), and has not started."""

    RENDERING = "rendering"
    """The provider is working on it."""

    CONFIRMING = "confirming"
    """A terminal status was reported, but does not count yet: a status call has to confirm an
    unsigned callback, or the link of a COMPLETED job is missing."""

    FINISHED = "finished"
    """Final, exactly when the status is one of the last three."""


FINAL_STATUSES = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})


class Evidence(StrEnum):
    """The source of the observation that a job's status is based on."""

    CALLBACK = "callback"
    POLL = "poll"
    SUBMIT = "submit"
    DEADLINE = "deadline"
    USER = "user"


class ErrorCode(StrEnum):
    """Why a job ended without a result."""

    PROVIDER_FAILED = "provider_failed"
    CANCELED_BY_PROVIDER = "canceled_by_provider"
    PROVIDER_REFUSED = "provider_refused"
    PROVIDER_CREDENTIALS = "provider_credentials"
    NOT_SUBMITTED = "not_submitted"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    SUBMIT_OUTCOME_UNKNOWN = "submit_outcome_unknown"
    RESULT_MISSING = "result_missing"
    PROVIDER_JOB_LOST = "provider_job_lost"
    CANCELED_BY_USER = "canceled_by_user"


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job ended without a result."""

    code: ErrorCode
    message: str
    may_have_been_billed: bool


class Claim(NamedTuple):
    """A terminal status from an unsigned callback, not yet decided by a status call."""

    callback_id: int
    received_at: Millis
    status: Status
    provider_status: str | None
    result: Mapping[str, Any] | None
    message: str | None


class Waited(NamedTuple):
    """Why a job waited for its submission, and how long."""

    reason: str
    """`pause`, `place` or `turn`: the last that was seen."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Tracking:
    """The state machine's private memory of a job. The fields have these names in stored rows."""

    poll_gap: Millis | None = None
    """The last gap between polls; None restarts the cadence."""
    polls: int = 0
    """Status calls applied so far, answered or failed; varies the jitter."""
    misses: int = 0
    """Consecutive 404 answers."""
    missed_since: Millis | None = None
    """When the first of them came."""
    claims: tuple[Claim, ...] = ()
    """Undecided claims, oldest first."""
    failing_since: Millis | None = None
    """When a status call first failed after the oldest claim arrived."""
    link_missing: bool = False
    """COMPLETED is known, but its result, or the link in it, still has to be fetched."""
    completed_at: Millis | None = None
    """When that became known."""
    waited: Waited | None = None
    """What the attempt under way had waited for, until its answer is in the history."""


@dataclass(frozen=True)  # no slots, because of `changed`
class Job:
    """One job, as stored."""

    id: str
    user_id: int
    user: str
    provider: str
    kind: str
    status: Status
    phase: Phase
    seq: int
    """The number of events so far; the first is its creation."""
    created_at: Millis
    updated_at: Millis
    progress: float | None = None
    provider_status: str | None = None
    evidence: Evidence | None = None
    message: str | None = None
    result: Mapping[str, Any] | None = None
    error: JobError | None = None
    provider_request_id: str | None = None
    id_from_answer: bool = False
    """Whether the provider's id came from the submission's answer, which outranks callbacks."""
    done_at: Millis | None = None
    accepted_at: Millis | None = None
    unconfirmed_at: Millis | None = None
    result_at: Millis | None = None
    """When the result's link was received: links expire, after an hour to a week."""
    attempts: int = 0
    """Submissions begun."""
    maybe_sent: bool = False
    """Whether an attempt was accepted, or may have reached the provider."""
    refused_with: int | None = None
    """The HTTP status of the provider's refusal."""
    metadata: Mapping[str, str] | None = None
    webhook_url: str | None = None
    webhook_events: tuple[str, ...] = ()
    webhook_off: bool = False
    """The address answered 410: nothing more is sent to it for this job."""
    label: str | None = None
    """The beginning of its prompt, for people to tell jobs apart."""
    due: Due | None = None
    tracking: Tracking = Tracking()
    provider_urls: Mapping[str, str] | None = None
    """The job's URLs at the provider, by purpose, if the answer that accepted it had any."""
    cancel_wanted: bool = False
    """Whether the provider still has to be asked to cancel the job."""
    archive: tuple[ArchivedFile, ...] = ()
    """The files of the result; empty if none are kept."""
    source: str | None = None
    """The provider whose own API the client spoke when it created the job; None if it was ours."""
    details: Mapping[str, Any] | None = None
    """For clients of the provider's own API: what it said beside status and result, and what of
    the order and of our own times is shown there."""
    cost: Cost | None = None
    """None without a price."""

    @property
    def done(self) -> bool:
        return self.status in FINAL_STATUSES

    @property
    def in_flight(self) -> bool:
        """Whether it takes a place at its provider."""
        return self.phase not in (Phase.QUEUED, Phase.FINISHED)

    @staticmethod
    def of_fields(fields: Mapping[str, Any]) -> "Job":
        """A job with exactly these fields, which have to be all of them. `__init__` takes ten times
        as long, and `dataclasses.replace` calls it: a job's life has two dozen changes."""
        job = object.__new__(Job)
        job.__dict__.update(fields)
        return job

    def changed(self, **fields: Any) -> "Job":
        """A copy with these fields changed. Raises TypeError if there is no such field."""
        if not fields.keys() <= self.__dict__.keys():
            raise TypeError(f"a job has no {', '.join(fields.keys() - self.__dict__.keys())}")
        return Job.of_fields({**self.__dict__, **fields})
