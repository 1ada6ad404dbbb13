"""What the parts of the store take and return, beside the records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias, TypeVar

from store.records import (
    Callback,
    DeliveryState,
    Event,
    Job,
    Lane,
    Millis,
    Move,
    Status,
)

Decide: TypeAlias = Callable[[Job], Move | None]
"""Takes the job as read inside the write transaction; returns the change to make, or None.
It must be pure and fast: it runs on the writer."""

DecideCallbacks: TypeAlias = Callable[[Job, Sequence[Callback]], Move | None]
"""The same, but also takes the job's oldest waiting callbacks; the move has a verdict for each."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The result of applying a job's waiting callbacks."""

    job: Job
    """The job afterwards."""
    move: Move | None
    left: bool
    """Whether more callbacks are waiting: not all of them fit in one transaction."""


@dataclass(slots=True)
class Changes:
    """What commits changed: ids only; subscribers read the rows again."""

    jobs: set[str] = field(default_factory=set)
    users: set[int] = field(default_factory=set)
    """Users whose event log grew."""
    inbox: dict[str, bool] = field(default_factory=dict)
    """Jobs with callbacks that this process has stored and not yet applied; the value says whether
    one of them reports an outcome."""
    applied: set[str] = field(default_factory=set)
    """Jobs whose callbacks were all applied, including any stored in the same transaction."""
    due: dict[Lane, Millis] = field(default_factory=dict)
    """By lane: the earliest time at which one of the changed jobs is due."""
    relay: bool = False
    """Whether there are relay messages to send."""
    appended: dict[int, list[Event]] = field(default_factory=dict)
    """By user: the new events, in order, if this process knows them without a read."""

    def add(self, other: "Changes") -> None:
        self.jobs |= other.jobs
        self.users |= other.users
        for job_id, final in other.inbox.items():
            self.inbox[job_id] = final or self.inbox.get(job_id, False)
        for job_id in other.applied:
            self.inbox.pop(job_id, None)
        for lane, at in other.due.items():
            self.will_be_due(lane, at)
        self.relay = self.relay or other.relay
        for user_id, events in other.appended.items():
            self.appended.setdefault(user_id, []).extend(events)

    def will_be_due(self, lane: Lane, at: Millis) -> None:
        self.due[lane] = min(at, self.due.get(lane, at))


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Selects jobs for lists; None and empty mean "all"."""

    status: Status | None = None
    kind: str | None = None
    provider: str | None = None
    created_after: Millis | None = None
    """Exclusive."""
    created_before: Millis | None = None
    """Exclusive."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    label: str | None = None
    """Text in the label, in either case of ASCII letters; for `look_through` only."""


class Receipt(StrEnum):
    """How an incoming callback was classified; decides the HTTP response."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    CONFLICT = "conflict"
    SURPLUS = "surplus"
    """Over the limit of stored callbacks per job: the only kind that is not stored."""


@dataclass(frozen=True, slots=True)
class SubmissionsDue:
    """The waiting submissions."""

    places: tuple[tuple[str, int], ...]
    """(provider, user id) pairs with a due submission that is not leased, longest due first.
    Rows written by an older release count as user 0 and provider ''."""
    next_at: Millis | None
    """When there will be more: the next retry, or the end of a lease."""


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Selects deliveries for a list; None means "all"."""

    user_id: int | None = None
    state: DeliveryState | None = None
    job_id: str | None = None
    host: str | None = None
    """Host name, in lower case."""
    port: int | None = None
    """Ignored without `host`."""


class Slots(Protocol):
    """The limits on messages in flight: how many more may be leased, by user and host."""

    def room(self, user_id: int, host: str) -> int:
        """How many more messages of this user to this host may be leased; may be negative."""
        ...

    def take(self, user_id: int, host: str) -> None:
        """Use one slot."""
        ...


S = TypeVar("S", bound=Slots)


@dataclass(frozen=True, slots=True)
class Durability:
    """Whether a commit survives a crash of the machine."""

    sound: bool
    detail: str
    """The database settings that decide it, and the schema version."""
    advice: str
    """What to do if it is not sound."""
