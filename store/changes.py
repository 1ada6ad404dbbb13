"""What a commit changed, for subscribers."""

from dataclasses import dataclass, field

from store.records.events import Event
from store.records.times import Lane, Millis


@dataclass(slots=True)
class CommitNotice:
    """What a commit changed: mostly ids, so subscribers read the rows again; only new events are
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
    """By user: the new events, in order, if this process has written them."""

    def add(self, other: "CommitNotice") -> None:
        self.jobs |= other.jobs
        self.users |= other.users
        for job_id, final in other.inbox.items():
            self.add_callback(job_id, final=final)
        for job_id in other.applied:
            self.inbox.pop(job_id, None)
        for lane, at in other.due.items():
            self.add_due(lane, at)
        self.relay = self.relay or other.relay
        for user_id, events in other.appended.items():
            self.appended.setdefault(user_id, []).extend(events)

    def add_callback(self, job_id: str, *, final: bool) -> None:
        """A callback of the job waits to be applied; `final` says that it reports an outcome."""
        self.inbox[job_id] = final or self.inbox.get(job_id, False)

    def add_due(self, lane: Lane, at: Millis) -> None:
        self.due[lane] = min(at, self.due.get(lane, at))

    def add_event(self, user_id: int, event: Event) -> None:
        """The event was appended to the user's log."""
        self.users.add(user_id)
        self.jobs.add(event.job_id)
        self.appended.setdefault(user_id, []).append(event)
