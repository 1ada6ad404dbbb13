"""The contract of a store, as the service uses it.

Every method that writes is one transaction: when it returns, what it wrote is on disk, and when it
raises, nothing of it is. Any method may raise `StoreUnavailable`; a method that names a user in its
own name (`…_for_user`) sees that user's rows alone. After each commit the store rings `on_change`
with what changed, never before.

A cancelled caller does not cancel a write under way: it is committed or rolled back whole.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeAlias

from store.records import (
    Answer,
    ApiKey,
    Attempt,
    Callback,
    Cursor,
    Delivery,
    DeliveryState,
    Event,
    HistoryLine,
    IdempotencyKey,
    Job,
    Lane,
    Millis,
    Move,
    NewJob,
    Phase,
    Replay,
    Status,
    User,
)

Decide: TypeAlias = Callable[[Job], Move | None]
"""Given the job as it stands inside the write transaction: the change to make, or None for none.
It must be pure and quick: it runs on the writer."""


@dataclass(slots=True)
class Changes:
    """What commits changed: ids only, the rows are read again by whoever cares."""

    jobs: set[str] = field(default_factory=set)
    users: set[int] = field(default_factory=set)
    """Users whose event log grew."""
    inbox: bool = False
    """Callbacks wait to be applied."""
    due: set[Lane] = field(default_factory=set)
    """Lanes in which something may have become due."""
    relay: bool = False
    """Relay messages wait to be sent."""

    def add(self, other: "Changes") -> None:
        self.jobs |= other.jobs
        self.users |= other.users
        self.inbox = self.inbox or other.inbox
        self.due |= other.due
        self.relay = self.relay or other.relay


@dataclass(frozen=True, slots=True)
class JobFilter:
    """What `list_for_user` selects; None and empty mean "all"."""

    status: Status | None = None
    kind: str | None = None
    created_after: Millis | None = None
    """Exclusive."""
    created_before: Millis | None = None
    """Exclusive."""
    metadata: Mapping[str, str] = field(default_factory=dict)


class Receipt(StrEnum):
    """What a callback is at the door; decides the HTTP answer."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    CONFLICT = "conflict"


class Jobs(Protocol):
    """Jobs, and what is due for them."""

    async def create(
        self, new: NewJob, idempotency: IdempotencyKey | None = None, answer: Answer | None = None
    ) -> Job | Replay:
        """Write the job, its input, its first event, its submission intent and its trace context in
        one transaction.

        With an idempotency key, the key is written in the same transaction, with `answer` where the
        first answer is known already (the key is not held then). A key that is there leads to
        `Replay`, and nothing is written. Raises `KeyReused` where its fingerprint differs, and
        `KeyHeld` while its first request waits. A key whose `expires_at` has passed at the job's
        `created_at` counts as absent.
        """
        ...

    async def advance(
        self, job_id: str, decide: Decide, *, applying: int | None = None
    ) -> tuple[Job, Move | None]:
        """The one way in which a job changes.

        Opens the write, reads the job, calls `decide`, and writes its move whole: job, due row,
        event (numbered in the user's log), relay message, rulings, notes, and the key that it
        frees. Returns the job as it then stands, and the move. A new relay message skips this job's
        waiting ones: updates always, finals only where they are self-declared, and neither one that
        is in flight (see `settle`) nor one that was asked for again and has not had its attempt. It
        is due at once, or born `disabled` when `webhook_off`. `applying` is the id of the callback
        that is being applied: where it has its verdict already (another worker was faster), nothing
        is done.
        Raises `NotFound`, and `ProviderIdTaken` where the move gives the job an id that another job
        of the provider holds.
        """
        ...

    async def find(self, job_id: str) -> Job | None:
        """Any user's job; for workers, and for admin keys."""
        ...

    async def find_for_user(self, user_id: int, job_id: str) -> Job | None: ...

    async def find_by_provider_id(self, provider_request_id: str) -> Job | None:
        """Any user's newest job with the id; for admin keys."""
        ...

    async def find_by_provider_id_for_user(
        self, user_id: int, provider_request_id: str
    ) -> Job | None: ...

    async def provider_id_holder(self, provider: str, provider_request_id: str) -> str | None:
        """The id of the job that holds a provider's id."""
        ...

    async def list_for_user(
        self, user_id: int, where: JobFilter, before: str | None, limit: int
    ) -> list[Job]:
        """Newest first (by id), those with an id lower than `before`."""
        ...

    async def input_of(self, job_id: str) -> Mapping[str, object]:
        """The job's `input`, as it goes upstream. Raises `NotFound`."""
        ...

    async def trace_context_of(self, job_id: str) -> str | None:
        """The trace context that the job was created with; None also where it is not kept."""
        ...

    async def history_of(self, job_id: str) -> list[HistoryLine]:
        """Events, callbacks, journal and relay attempts of the job, oldest first."""
        ...

    async def in_phase(self, phase: Phase, limit: int) -> list[str]:
        """Ids of jobs in a phase, for recovery at start; `submitting` and `queued` only."""
        ...

    async def lease_due(
        self, lane: Lane, now: Millis, until: Millis, holder: str, limit: int
    ) -> list[Job]:
        """Take jobs that are due in the lane and held by nobody, earliest first.

        They are held until `until`, or until they are advanced or released. Two callers never get
        the same job while a hold lasts.
        """
        ...

    async def release(self, holder: str, job_ids: Sequence[str]) -> None:
        """Give back what `lease_due` gave to `holder` and nothing came of: due as it was."""
        ...

    async def end_holds(self) -> None:
        """End what `lease_due` gave to anybody: the process that held it is gone."""
        ...

    async def next_due(self, lane: Lane) -> Millis | None:
        """When the lane has something to give out next: the next job that nobody holds is due, or a
        hold ends."""
        ...

    async def poll_at_once(self, job_id: str, now: Millis) -> None:
        """Make the job's next poll due at `now`, where it has one that is later."""
        ...

    async def hold_submissions(self, provider: str, until: Millis) -> None:
        """Hold every submission to the provider until then; a longer hold that stands stays."""
        ...

    async def submissions_held_until(self, provider: str) -> Millis | None: ...

    async def remove_finished(self, done_before: Millis, limit: int) -> int:
        """Remove at most `limit` jobs that ended before then, with all that hangs on them, unless
        something about them is still pending (a delivery, a claim, a callback that is not applied);
        returns how many went."""
        ...

    async def census(self) -> Mapping[str, tuple[int, Millis]]:
        """Of each unfinished phase: how many jobs, and when the oldest of them was created."""
        ...


class Callbacks(Protocol):
    """The inbox: what the provider sent, raw, before anything is made of it."""

    def receive(
        self,
        provider: str,
        job_id: str,
        body: bytes,
        headers: str,
        at: Millis,
        names: str | None,
        *,
        readable: bool,
    ) -> Awaitable[Receipt]:
        """Store one callback and say what it is, in one transaction.

        `names` is the provider_request_id in the body, `readable` whether that is a JSON object.
        The order of the checks is contract 7's: rejected (not readable), conflict (`names` is not
        the job's id, or is another job's), duplicate (the same bytes came before), accepted. A
        rejected or conflicting one, and one beyond 200 stored for the job, makes the job's poll due
        at `at`. A rejected or conflicting one that comes again is not stored again, and answers the
        same. Beyond 200, nothing is stored and the receipt of a readable one is DUPLICATE.
        Raises `NotFound` where the job is not kept.
        """
        ...

    async def exists(self, provider: str, job_id: str) -> bool:
        """Whether the provider's job is still kept."""
        ...

    async def waiting(self, limit: int) -> list[Callback]:
        """Those not yet applied, oldest first; a page ends early at 1 MiB of bodies, never before
        its first callback."""
        ...

    async def failed(self, callback_id: int, now: Millis) -> int:
        """Count a failed application; at the third the callback is `FAILED`, and its job's poll is
        due at `now`. Returns the count. Raises `NotFound` where it does not wait any more."""
        ...

    async def backlog(self) -> tuple[int, Millis | None]:
        """How many wait, and when the oldest came."""
        ...


class Events(Protocol):
    """The event log, numbered by user; streams read it from a cursor."""

    async def snapshot_for_job(self, job_id: str) -> tuple[Cursor, Job] | None:
        """A job and its user's cursor, read at one moment; None where there is no such job."""
        ...

    async def snapshot_for_user(self, user_id: int, limit: int) -> tuple[Cursor, list[Job], bool]:
        """The user's unfinished jobs, newest first, the cursor of the same moment, and whether
        there are more than `limit`."""
        ...

    async def knows(self, user_id: int, cursor: Cursor) -> bool:
        """Whether the cursor is of this user's log, and nothing after it has been removed.

        For a job's own stream a removed event of another job does not matter: see `knows_for_job`.
        """
        ...

    async def knows_for_job(self, job: Job, cursor: Cursor) -> bool:
        """Whether a resume of this job's stream from the cursor can miss nothing of this job: the
        cursor is of the user's log, whatever retention has since removed of other jobs."""
        ...

    async def after_for_job(self, job_id: str, seq: int, limit: int) -> list[Event]:
        """The job's events after a place in its user's log, oldest first; a page ends early at 1
        MiB of data, never before its first event."""
        ...

    async def after_for_user(self, user_id: int, seq: int, limit: int) -> list[Event]:
        """The user's events after a place in the log; pages as above."""
        ...

    async def latest_seq(self, user_id: int) -> int:
        """The place of the user's latest event; 0 where there is none."""
        ...


class Idempotency(Protocol):
    """Keys that clients give their creations."""

    async def find(
        self, user_id: int, path: str, key: str, fingerprint: str, now: Millis
    ) -> Replay | None:
        """What the key leads to, None where it is free or expired. Raises as `Jobs.create` does."""
        ...

    async def answered(self, job_id: str, answer: Answer | None) -> None:
        """Write the first answer of the key that made the job (None: its client went away, the
        replay is built from the job) and end the hold."""
        ...

    async def end_holds(self) -> None:
        """End every hold: the process that held them is gone."""
        ...

    async def remove_expired(self, now: Millis, limit: int) -> int: ...


class Deliveries(Protocol):
    """The outbox of relay messages."""

    async def lease(
        self,
        now: Millis,
        until: Millis,
        holder: str,
        *,
        limit: int,
        per_host: int,
        per_user: int,
        busy_hosts: Mapping[str, int],
        busy_users: Mapping[int, int],
    ) -> list[Delivery]:
        """Take due messages: of each host at most `per_host` less those busy, of each user at most
        `per_user` less those busy, one in flight a job, the job's oldest first. The cost must not
        grow with the backlog of hosts that are full. A message whose hold has ended can be taken
        again."""
        ...

    async def settle(
        self,
        delivery_id: str,
        holder: str,
        attempt: Attempt,
        state: DeliveryState,
        next_attempt_at: Millis | None,
        *,
        host_off: bool,
    ) -> bool:
        """Write an attempt and what follows from it. False where the hold was lost: then the
        attempt is recorded in the history and the state is left alone. A pending update that a
        newer message waits behind becomes SKIPPED (a final one only where it is self-declared).
        `host_off` (410) turns the job's address off, and its other pending messages to DISABLED."""
        ...

    async def postpone(self, holder: str, delivery_ids: Sequence[str], until: Millis) -> None:
        """Give leased messages back untried, due at `until`: their host is held back."""
        ...

    async def release(self, holder: str) -> None:
        """Give back everything that the holder has, due as it was."""
        ...

    async def end_holds(self) -> None:
        """End every hold: the process that held them is gone."""
        ...

    async def next_due(self) -> Millis | None:
        """When there is something to give out next, were no host and no user full: a message that
        waits behind another of its job in flight does not count, and a hold's end does."""
        ...

    async def retry(self, delivery_id: str, now: Millis) -> Delivery:
        """Make any but a pending delivery due now, out of the job's order, the schedule begun
        again; a DISABLED one turns its job's address on again.
        Raises `NotFound`, `DeliveryPending`."""
        ...

    async def find(self, delivery_id: str) -> Delivery | None: ...

    async def find_for_user(self, user_id: int, delivery_id: str) -> Delivery | None: ...

    async def list_for_user(
        self, user_id: int, state: DeliveryState | None, before: str | None, limit: int
    ) -> list[Delivery]:
        """Newest first (by id), with their attempts."""
        ...

    async def backlog(self) -> tuple[int, Millis | None]:
        """How many are pending, and when the oldest was written."""
        ...


class Keys(Protocol):
    """Users and their API keys."""

    async def add(self, key: ApiKey, new_secret: str) -> User:
        """Add a key (`user_id` is filled in here) and, where the name is new, its user with
        `new_secret`. Returns the user as it is."""
        ...

    async def find(self, key_hash: str) -> ApiKey | None: ...

    async def list_all(self) -> list[ApiKey]: ...

    async def revoke(self, prefix: str, now: Millis) -> ApiKey:
        """Revoke the one key in force that begins so. Raises `NotFound`, `AmbiguousPrefix`."""
        ...

    async def rotate_secret(self, user: str, secret: str, old_until: Millis) -> User:
        """Give the user a new signing secret; the one before signs too until `old_until`.
        Raises `NotFound`."""
        ...

    async def user(self, user_id: int) -> User | None: ...

    async def user_named(self, name: str) -> User | None: ...


@dataclass(frozen=True, slots=True)
class Durability:
    """Whether a commit survives a crash of the machine."""

    sound: bool
    detail: str
    """The database's own settings that decide it, and the schema."""
    advice: str
    """What to do where it is not sound."""


class Store(Protocol):
    """A place that keeps everything. Open one with `store.open_store`."""

    jobs: Jobs
    callbacks: Callbacks
    events: Events
    idempotency: Idempotency
    deliveries: Deliveries
    keys: Keys

    on_change: Callable[[Changes], None]
    """Rung in the event loop after each commit, once a batch. Set it before the first write."""

    exclusive: bool
    """Whether nobody else can be running jobs on this store while it is open for serving."""

    @property
    def busy(self) -> bool:
        """Whether so many writes wait that one more which a client waits for would be refused."""
        ...

    async def check_writable(self) -> None:
        """Write something small and durable. Raises `StoreUnavailable` where a callback could not
        be stored now."""
        ...

    async def durability(self) -> Durability:
        """By what a commit survives a crash, as the database says now."""
        ...

    async def changed_elsewhere(self) -> bool:
        """Whether another process has committed since the last time this was asked."""
        ...

    async def restored(self) -> bool:
        """Whether this is a copy that `backup` made and nobody has served from yet."""
        ...

    async def accept_restore(self) -> None:
        """Serve from the copy from now on."""
        ...

    async def backup(self, target: Path) -> None:
        """Write an online, consistent copy, mode 0600, verified after writing. Raises
        `FileExistsError` where the target is there."""
        ...

    async def upkeep(self) -> Mapping[str, int]:
        """Whatever the backend needs done now and then; returns sizes in bytes by name
        (`database`, and `wal` where there is one)."""
        ...

    async def close(self) -> None: ...
