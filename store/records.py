"""What the store keeps: frozen records, and the words they are told in.

Times are `Millis`, whole milliseconds since the Unix epoch. Records hold no behaviour beyond what
can be read off their own fields; what a job may become next is for `receiver.domain.lifecycle`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Millis = int
"""Milliseconds since the Unix epoch (UTC), or a duration in milliseconds where a name says so."""


class Status(StrEnum):
    """The state a user sees. It never goes back, and the last three are final."""

    PENDING = "PENDING"
    """Known to us, and the provider has not begun (or has not been asked yet)."""

    IN_PROGRESS = "IN_PROGRESS"
    """The provider works on it. Words of the provider that we do not know mean this too."""

    COMPLETED = "COMPLETED"
    """Done, with a result that holds at least `videoUrl`."""

    FAILED = "FAILED"
    """Ended without a result: the provider said so, refused it, or we gave up (`ErrorCode`)."""

    CANCELLED = "CANCELLED"
    """Ended by its user, or by the provider's own cancellation."""


class Phase(StrEnum):
    """Where a job stands on its way; finer than `Status`, and told beside it."""

    QUEUED = "queued"
    """On disk, and no byte of it has been sent; also after an attempt that surely sent nothing."""

    SUBMITTING = "submitting"
    """One submission is under way. The step into it is committed before the first byte leaves, and
    a job found here after its lease has ended is `submit_unconfirmed`: it is never sent again."""

    SUBMIT_UNCONFIRMED = "submit_unconfirmed"
    """Bytes may have left and no readable answer came. Only the provider's word moves it on: the
    job's own callback, or the submission's answer coming late."""

    ACCEPTED = "accepted"
    """The provider has it (its answer or a callback proves that), and has not begun."""

    RENDERING = "rendering"
    """The provider works on it."""

    CONFIRMING = "confirming"
    """A terminal word is there, and something is missing before it counts: a status call that
    confirms an unsigned callback, or the link of a COMPLETED job."""

    FINISHED = "finished"
    """Final, exactly when the status is one of the last three."""


FINAL_STATUSES = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
"""The one list of what is final."""


class Evidence(StrEnum):
    """What brought the news that a job's state rests on."""

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
    """What an unfinished job waits for next; each has one row in the table of what is due."""

    SUBMIT = "submit"
    """The next attempt of its submission (or the deadline that ends waiting for one)."""
    SUBMITTING = "submitting"
    """The end of the lease under which its submission is under way."""
    WAIT = "wait"
    """A moment at which nothing is asked, and time itself decides: a deadline, or an unconfirmed
    claim of a job that cannot be polled."""
    CONFIRM = "confirm"
    """A status call that decides a claim; goes before every other poll."""
    POLL = "poll"
    """The next status call."""


@dataclass(frozen=True, slots=True)
class Due:
    """When a job is to be looked at next, and for what."""

    lane: Lane
    at: Millis


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job ended without a result."""

    code: ErrorCode
    message: str
    may_have_been_billed: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A terminal word of an unsigned callback that no status call has decided yet."""

    callback_id: int
    received_at: Millis
    status: Status
    word: str | None
    result: Mapping[str, Any] | None
    message: str | None


@dataclass(frozen=True, slots=True)
class Tracking:
    """What the machine remembers of a job between observations and nobody else sees."""

    poll_gap: Millis | None = None
    """The last gap between polls; None starts the cadence again."""
    polls: int = 0
    """Status calls answered or failed so far; spreads the jitter."""
    misses: int = 0
    """404 answers in a row."""
    missed_since: Millis | None = None
    """When the first of them came."""
    claims: tuple[Claim, ...] = ()
    """Claims that wait for their decision, oldest first."""
    failing_since: Millis | None = None
    """The first status call that failed since the oldest claim came."""
    link_missing: bool = False
    """The provider said COMPLETED, confirmed, and gave no link yet."""


@dataclass(frozen=True, slots=True)
class Job:
    """One submission, as its row says."""

    id: str
    user_id: int
    user: str
    provider: str
    kind: str
    status: Status
    phase: Phase
    seq: int
    """Events so far; the first is its creation."""
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
    """Whether the provider's id came from the submission's own answer, which outranks callbacks."""
    done_at: Millis | None = None
    accepted_at: Millis | None = None
    unconfirmed_at: Millis | None = None
    result_at: Millis | None = None
    """When the result's link was given; links live about a week."""
    attempts: int = 0
    """Submissions begun."""
    maybe_sent: bool = False
    """Whether an ended attempt may have reached the provider."""
    refused_with: int | None = None
    """The HTTP status of the provider's refusal."""
    metadata: Mapping[str, str] | None = None
    webhook_url: str | None = None
    webhook_events: tuple[str, ...] = ()
    webhook_off: bool = False
    """The address answered 410: nothing more is sent to it for this job."""
    due: Due | None = None
    callbacks_waiting: bool = False
    """Whether the inbox holds callbacks of it that are not applied yet: no deadline goes first."""
    tracking: Tracking = Tracking()

    @property
    def done(self) -> bool:
        return self.status in FINAL_STATUSES


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job as it is first written, with the event and the intent that go with it."""

    job: Job
    """seq 1, phase queued, due in `Lane.SUBMIT`."""
    input: Mapping[str, Any]
    event: bytes
    """The first event's data."""
    trace_context: str | None = None
    """The trace that it was submitted in, as `receiver.tracing` writes it."""


class Verdict(StrEnum):
    """What became of a callback."""

    WAITING = "waiting"
    """On disk, not applied yet."""
    APPLIED = "applied"
    """It changed the job, or said again what was known. Of a claim: it was believed without a
    status call's word (`confirmed` false), or where none is asked for."""
    CLAIMED = "claimed"
    """A claim that waits for its status call."""
    CONFIRMED = "confirmed"
    """A claim that a status call said too."""
    DENIED = "denied"
    """A claim that a status call contradicted."""
    LATE = "late"
    """It came to a finished job, and changed nothing of it."""
    CONFLICT = "conflict"
    """It named another provider_request_id than the job's."""
    REJECTED = "rejected"
    """No JSON object."""
    FAILED = "failed"
    """Applying it failed three times; the job is polled instead."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """A callback's verdict, to be written with the change that it caused."""

    callback_id: int
    verdict: Verdict
    confirmed: bool | None = None
    """Of a claim: whether a status call said the same. None where that was not the question."""
    evidence: Evidence = Evidence.CALLBACK
    """What the verdict rests on."""


@dataclass(frozen=True, slots=True)
class Note:
    """A line of the journal: something happened to a job that is no event of its own."""

    type: str
    detail: Mapping[str, Any]
    at: Millis | None = None
    """When; None: at the move's `job.updated_at`, which only a visible change moves."""


@dataclass(frozen=True, slots=True)
class RelayMessage:
    """A webhook to the user, as the outbox takes it."""

    final: bool
    """A final state: never skipped."""
    self_declared: bool
    """A failure that we declared: an undelivered one gives way to the provider's own outcome."""
    status: Status
    body: bytes
    delay: Millis = 0
    """How long after its commit the first attempt is due."""


@dataclass(frozen=True, slots=True)
class Move:
    """One change of a job, whole: everything that its transaction writes."""

    job: Job
    """The job after it. `seq` is one higher exactly when there is an event."""
    event: bytes | None = None
    relay: RelayMessage | None = None
    rulings: tuple[Ruling, ...] = ()
    notes: tuple[Note, ...] = ()
    frees_key: bool = False
    """The idempotency key of the job, where it has one, can be used again."""


@dataclass(frozen=True, slots=True)
class Event:
    """One durable line of a job's history, as streams carry it."""

    cursor: "Cursor"
    job_id: str
    at: Millis
    data: bytes


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in one user's event log: a contiguous count, and a nonce that tells histories apart.

    A restored backup may count again past a number that a client has already seen; the nonce is
    random for each event, so such a cursor is noticed.
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


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One thing that happened to a job; `detail` is ready for JSON."""

    at: Millis
    type: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class User:
    """The owner of keys. The secret signs the webhooks that we send."""

    id: int
    name: str
    secret: str
    previous_secret: str | None
    previous_secret_until: Millis | None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as the store knows it: never the key, only its SHA-256."""

    hash: str
    """SHA-256 of the key, hexadecimal."""
    prefix: str
    """The key's first characters, for people to tell keys apart."""
    user_id: int
    user: str
    admin: bool
    created_at: Millis
    revoked_at: Millis | None


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's key for one creation, with what makes two requests the same."""

    path: str
    key: str
    fingerprint: str
    """A digest of the body's value, blind to the order of members."""
    held_until: Millis
    """While the first request waits for its answer, others are told to wait as well."""
    expires_at: Millis


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as it was first given."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Replay:
    """What an idempotency key that was used before leads to."""

    job_id: str
    answer: Answer | None
    """None where the first answer was never written: it is built from the job."""


class DeliveryState(StrEnum):
    """Where one relay message stands."""

    PENDING = "pending"
    """To be sent, or sent again."""
    DELIVERED = "delivered"
    """A 2xx answer came."""
    SKIPPED = "skipped"
    """A newer message overtook it before it was delivered."""
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
    """The first characters of the answer."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One relay message and what became of it."""

    id: str
    """The `webhook-id`, the same at every attempt."""
    job_id: str
    user_id: int
    status: Status
    seq: int
    state: DeliveryState
    url: str
    host: str
    """Name and port, by which attempts are limited."""
    body: bytes
    step: int
    """Attempts made of the current run of the schedule."""
    created_at: Millis
    next_attempt_at: Millis | None
    delivered_at: Millis | None
    attempts: tuple[Attempt, ...] = ()
