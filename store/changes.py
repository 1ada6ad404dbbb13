"""What transactions change: for subscribers, and for the batch that appends the events."""

from dataclasses import dataclass, field
from typing import NamedTuple

from store.records.events import Event
from store.records.times import Lane, Millis


@dataclass(slots=True)
class Changes:
    """What commits changed: mostly ids, so subscribers read the rows again; only new events are
    included whole (`appended`)."""

    jobs: set[str] = field(default_factory=set)
    users: set[int] = field(default_factory=set)
    """Users whose event log grew."""
    inbox: dict[str, bool] = field(default_factory=dict)
    """Jobs with callbacks that this process has stored and not yet applied; the value says whether
    one of them reports an outcome."""
    applied: set[str] = field(default_factory=set)
    """Jobs whose callbacks were all applied, including any stored in the same transaction. `add`
    removes them from `inbox` and does not merge them: in the sum of a batch this is empty."""
    due: dict[Lane, Millis] = field(default_factory=dict)
    """By lane: the earliest time at which a job is due again or its lease ends; 0 after a change of
    holds."""
    relay: bool = False
    """Whether there are relay messages to send."""
    appended: dict[int, list[Event]] = field(default_factory=dict)
    """By user: the new events, in order, if this process knows them without a read. The end of a
    transaction sets it; `add` does not merge it."""

    def add(self, other: "Changes") -> None:
        self.jobs |= other.jobs
        self.users |= other.users
        for job_id, final in other.inbox.items():
            self.add_callback(job_id, final=final)
        for job_id in other.applied:
            self.inbox.pop(job_id, None)
        for lane, at in other.due.items():
            self.add_due(lane, at)
        self.relay = self.relay or other.relay

    def add_callback(self, job_id: str, *, final: bool) -> None:
        """A callback of the job waits to be applied; `final` says that it reports an outcome."""
        self.inbox[job_id] = final or self.inbox.get(job_id, False)

    def add_due(self, lane: Lane, at: Millis) -> None:
        self.due[lane] = min(at, self.due.get(lane, at))


class NewEvent(NamedTuple):
    """An event that is numbered in its user's log at the end of the transaction."""

    user_id: int
    nonce: str
    job_id: str
    job_seq: int
    at: Millis
    data: bytes


@dataclass(slots=True)
class Effects(Changes):
    """The effects of one `Work`: what it changed, and the events to write."""

    events: list[NewEvent] = field(default_factory=list)
