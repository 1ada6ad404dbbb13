"""The store's records, all frozen, and their enumerations.

Times are `Millis`, whole milliseconds since the Unix epoch. Records have no behaviour beyond
properties of their own fields; the state machine is in `receiver.domain.lifecycle`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

Millis = int
"""Milliseconds since the Unix epoch (UTC), or a duration in milliseconds where a name says so."""


class Status(StrEnum):
    """The status a user sees. It never goes back, and the last three are final."""

    PENDING = "PENDING"
    """Stored, and the provider has not started (or has not been asked yet)."""

    IN_PROGRESS = "IN_PROGRESS"
    """The provider is working on it. Unknown provider statuses also map to this."""

    COMPLETED = "COMPLETED"
    """Done, with a result that holds at least `videoUrl`."""

    FAILED = "FAILED"
    """Ended without a result: the provider said so, refused it, or we gave up (`ErrorCode`)."""

    CANCELLED = "CANCELLED"
    """Cancelled by its user or by the provider."""


class Phase(StrEnum):
    """The state of a job, finer than `Status` and shown beside it."""

    QUEUED = "queued"
    """On disk, and nothing has been sent; also after an attempt that certainly sent nothing."""

    SUBMITTING = "submitting"
    """A submission is under way. This phase is committed before the first byte is sent; a job
    found here after its lease has ended becomes `submit_unconfirmed` and is never sent again."""

    SUBMIT_UNCONFIRMED = "submit_unconfirmed"
    """Bytes may have been sent, and there was no readable answer. Only the provider can resolve
    it: by the job's callback, or by a late answer to the submission."""

    ACCEPTED = "accepted"
    """The provider has it (proved by its answer or a callback), and has not started."""

    RENDERING = "rendering"
    """The provider is working on it."""

    CONFIRMING = "confirming"
    """A terminal status was reported, but does not count yet: a status call has to confirm an
    unsigned callback, or the link of a COMPLETED job is missing."""

    FINISHED = "finished"
    """Final, exactly when the status is one of the last three."""


FINAL_STATUSES = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
"""The final statuses."""


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


class Lane(StrEnum):
    """What a job waits for next; each such job has one row in the table `due`."""

    SUBMIT = "submit"
    """The next submission attempt (or the deadline for it)."""
    SUBMITTING = "submitting"
    """The end of the lease of the submission under way."""
    WAIT = "wait"
    """A timeout without a request: a deadline, or an unconfirmed claim of a job that cannot be
    polled."""
    CONFIRM = "confirm"
    """A status call that decides a claim; takes priority over other polls."""
    POLL = "poll"
    """The next status call."""
    ARCHIVE = "archive"
    """The next download of a result file; the only lane of finished jobs."""


@dataclass(frozen=True, slots=True)
class Due:
    """When a job needs attention next, and for what."""

    lane: Lane
    at: Millis


@dataclass(frozen=True, slots=True)
class Lease:
    """The exclusive right to work on something, until a time."""

    holder: str
    until: Millis


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job ended without a result."""

    code: ErrorCode
    message: str
    may_have_been_billed: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A terminal status from an unsigned callback, not yet decided by a status call."""

    callback_id: int
    received_at: Millis
    status: Status
    word: str | None
    result: Mapping[str, Any] | None
    message: str | None


@dataclass(frozen=True, slots=True)
class Tracking:
    """The state machine's private memory of a job."""

    poll_gap: Millis | None = None
    """The last gap between polls; None restarts the cadence."""
    polls: int = 0
    """Status calls answered or failed so far; varies the jitter."""
    misses: int = 0
    """Consecutive 404 answers."""
    missed_since: Millis | None = None
    """When the first of them came."""
    claims: tuple[Claim, ...] = ()
    """Undecided claims, oldest first."""
    failing_since: Millis | None = None
    """The first status call that failed since the oldest claim came."""
    link_missing: bool = False
    """COMPLETED is confirmed, but the provider has given no link yet."""


class FileState(StrEnum):
    """The state of one file of a result."""

    PENDING = "pending"
    """To be downloaded or retried."""
    STORED = "stored"
    """Complete in the archive."""
    FAILED = "failed"
    """It will not be retried."""


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """One link of a result, and the state of its file."""

    link: str
    """As in the result."""
    state: FileState = FileState.PENDING
    next_try_at: Millis | None = None
    """None unless pending."""
    tries: int = 0
    bytes: int | None = None
    content_type: str | None = None
    sha256: str | None = None
    """Hexadecimal."""
    key: str | None = None
    """Its key in the archive."""
    error: str | None = None
    """Why the last attempt failed."""


@dataclass(frozen=True)  # no slots, because of `changed`
class Job:
    """One submission, as stored."""

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
    """When the result's link was received; links live about a week."""
    attempts: int = 0
    """Submissions begun."""
    maybe_sent: bool = False
    """Whether an earlier attempt may have reached the provider."""
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
    callbacks_waiting: bool = False
    """Whether it has unapplied callbacks in the inbox; they go before any deadline."""
    tracking: Tracking = Tracking()
    provider_urls: Mapping[str, str] | None = None
    """The job's URLs at the provider, by purpose, if the answer to the submission had any."""
    cancel_wanted: bool = False
    """Whether the provider still has to be asked to cancel the job."""
    archive: tuple[ArchivedFile, ...] = ()
    """The files of the result; empty if none are kept."""

    @property
    def done(self) -> bool:
        return self.status in FINAL_STATUSES

    def changed(self, **fields: Any) -> "Job":
        """A copy with these fields changed. `dataclasses.replace` calls `__init__`, which takes
        twenty times as long, and a job's life has two dozen changes. Raises TypeError if there is
        no such field."""
        if not fields.keys() <= self.__dict__.keys():
            raise TypeError(f"a job has no {', '.join(fields.keys() - self.__dict__.keys())}")
        copy = object.__new__(Job)
        copy.__dict__.update(self.__dict__, **fields)
        return copy


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be created, with its input and first event."""

    job: Job
    """seq 1, phase queued, due in `Lane.SUBMIT`."""
    input: Mapping[str, Any]
    event: bytes
    """The first event's data."""
    trace_context: str | None = None
    """The trace of the request that submitted it, in the format of `receiver.tracing`."""


class Verdict(StrEnum):
    """The result of processing a callback."""

    WAITING = "waiting"
    """On disk, not applied yet."""
    APPLIED = "applied"
    """It changed the job, or repeated what was known. For a claim: it was accepted unconfirmed
    (`confirmed` false), or claims need no confirmation."""
    CLAIMED = "claimed"
    """A claim that waits for a status call."""
    CONFIRMED = "confirmed"
    """A claim that a status call confirmed."""
    DENIED = "denied"
    """A claim that a status call contradicted."""
    LATE = "late"
    """The job was already finished; nothing was changed."""
    CONFLICT = "conflict"
    """It named another provider_request_id than the job's."""
    REJECTED = "rejected"
    """Not a JSON object."""
    FAILED = "failed"
    """Applying it failed three times; the job is polled instead."""


@dataclass(frozen=True, slots=True)
class CallbackVerdict:
    """A callback's verdict, written with the change that it caused."""

    callback_id: int
    verdict: Verdict
    confirmed: bool | None = None
    """For a claim: whether a status call confirmed it. None if that does not apply."""
    evidence: Evidence = Evidence.CALLBACK
    """What the verdict is based on."""


@dataclass(frozen=True, slots=True)
class Note:
    """A history entry that is not an event."""

    type: str
    detail: Mapping[str, Any]
    at: Millis | None = None
    """None means the move's `job.updated_at`, which only a visible change updates."""


@dataclass(frozen=True, slots=True)
class RelayMessage:
    """A webhook to the user, for the outbox."""

    final: bool
    """A final status: never skipped."""
    self_declared: bool
    """A failure that we declared: if undelivered, the provider's own outcome replaces it."""
    status: Status
    body: bytes
    delay: Millis = 0
    """The first attempt is due this long after `at`."""
    at: Millis | None = None
    """Its time by the clock. None means the move's `job.updated_at`, which never goes back and so
    is in the future after the clock was set back."""


@dataclass(frozen=True, slots=True)
class Move:
    """One change of a job: everything that its transaction writes."""

    job: Job
    """The job afterwards. `seq` is one higher exactly when there is an event."""
    event: bytes | None = None
    relay: RelayMessage | None = None
    verdicts: tuple[CallbackVerdict, ...] = ()
    notes: tuple[Note, ...] = ()
    whole_result: Mapping[str, Any] | None = None
    """The whole result, if `job.result` is truncated."""
    frees_key: bool = False
    """Whether the job's idempotency key, if any, can be used again."""


@dataclass(frozen=True, slots=True)
class Event:
    """One durable entry of a job's history, as sent on streams."""

    cursor: "Cursor"
    job_id: str
    at: Millis
    data: bytes


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in one user's event log: a contiguous number and a nonce.

    A restored backup may reuse numbers that a client has already seen. The nonce is random for each
    event, so a cursor from the lost history is recognised.
    """

    seq: int
    nonce: str

    def __str__(self) -> str:
        return f"{self.seq}.{self.nonce}"


@dataclass(frozen=True, slots=True)
class Callback:
    """One stored callback, raw."""

    id: int
    job_id: str
    provider: str
    received_at: Millis
    body: bytes
    tries: int
    verified: bool = False
    """Whether it carried a valid signature of the provider."""


Decide: TypeAlias = Callable[[Job], Move | None]
"""Takes the job as read inside the write transaction; returns the change to make, or None.
It must be pure and fast: it runs on the writer."""

DecideCallbacks: TypeAlias = Callable[[Job, Sequence[Callback]], Move | None]
"""The same, but also takes the job's oldest waiting callbacks; the move has a verdict for each."""


class DeliveryState(StrEnum):
    """The state of one relay message."""

    PENDING = "pending"
    """To be sent or retried."""
    DELIVERED = "delivered"
    """Answered with 2xx."""
    SKIPPED = "skipped"
    """Replaced by a newer message before it was delivered."""
    EXHAUSTED = "exhausted"
    """Every attempt of the schedule failed."""
    DISABLED = "disabled"
    """The address answered 410 for this job."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a delivery."""

    at: Millis
    status_code: int | None
    error: str | None
    duration_ms: int
    excerpt: str | None
    """The first characters of the response body."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One relay message and its attempts."""

    id: str
    """The `webhook-id`, the same at every attempt."""
    job_id: str
    user_id: int
    user: str
    status: Status
    seq: int
    state: DeliveryState
    url: str
    host: str
    """Name and port; the unit of the per-host limits."""
    body: bytes
    step: int
    """Attempts made in the current run of the schedule."""
    created_at: Millis
    next_attempt_at: Millis | None
    delivered_at: Millis | None
    attempts: tuple[Attempt, ...] = ()
