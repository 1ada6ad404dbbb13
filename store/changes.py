"""What a unit of work leaves to its transaction: what it changed, for subscribers, and its last
writes."""

from collections.abc import Callable
from dataclasses import dataclass, field

from store.records.events import Event
from store.records.times import Lane, Millis
from store.records.transitions import Transition
from store.session import Session


@dataclass(slots=True)
class CommitNotice:
    """What a commit changed: mostly ids, so subscribers read the rows again; only new events and
    ends of jobs are included whole (`appended`, `ended`), if this process has written them."""

    jobs: set[str] = field(default_factory=set)
    users: set[int] = field(default_factory=set)
    """Users whose event log grew."""
    due: dict[Lane, Millis] = field(default_factory=dict)
    """By lane: the earliest time at which something is due in it by this commit."""
    appended: dict[int, list[Event]] = field(default_factory=dict)
    """By user: the new events, in order."""
    ended: list[Transition] = field(default_factory=list)
    """Those that finished jobs, or corrected their ends."""
    last: list[tuple[int, Callable[[Session], None]]] = field(default_factory=list, compare=False)
    """See `write_last`."""

    def write_last(self, user_id: int, write: Callable[[Session], None]) -> None:
        """Leave a write that locks the user's log to the end of the transaction, which makes these
        writes user by user, in the order of their ids: so no two transactions wait for each other,
        and a log is locked only for a short time."""
        self.last.append((user_id, write))

    def add(self, other: "CommitNotice") -> None:
        self.jobs |= other.jobs
        self.users |= other.users
        for lane, at in other.due.items():
            self.add_due(lane, at)
        for user_id, events in other.appended.items():
            self.appended.setdefault(user_id, []).extend(events)
        self.ended += other.ended

    def add_due(self, lane: Lane, at: Millis) -> None:
        self.due[lane] = min(at, self.due.get(lane, at))

    def add_event(self, user_id: int, event: Event) -> None:
        """The event was appended to the user's log."""
        self.users.add(user_id)
        self.jobs.add(event.job_id)
        self.appended.setdefault(user_id, []).append(event)
