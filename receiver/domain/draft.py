"""The draft of a transition, which the functions of the state machine fill in."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from receiver.domain import failures, schedule
from receiver.domain.results import truncate_result
from receiver.domain.schedule import Rules
from store.records.callbacks import CallbackVerdict, Verdict
from store.records.events import Note
from store.records.jobs import Evidence, Job
from store.records.times import Millis


@dataclass(slots=True)
class Draft:
    """A transition under construction. `job` is the job with all changes so far."""

    job: Job
    now: Millis
    rules: Rules
    verdicts: dict[int, CallbackVerdict] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    whole_result: Mapping[str, Any] | None = None
    """The whole result, if it was truncated for the job's row."""

    def set(self, **fields: Any) -> None:
        """Set fields of the job."""
        self.job = self.job.changed(**fields)

    def track(self, **fields: Any) -> None:
        """Set fields of the job's tracking."""
        self.set(tracking=replace(self.job.tracking, **fields))

    def call_at(self, at: Millis) -> None:
        """Schedule the next status call at `at`, or what `next_status_call` puts in its place; none
        if it could tell nothing new."""
        due = schedule.next_status_call(self.job, at, self.now, self.rules)
        self.set(due=due if failures.is_awaited(self.job) else None)

    def call_after_gap(self, retry_after: Millis | None = None) -> None:
        """Increase the poll gap, and schedule the next status call after it, or after the
        provider's Retry-After if that is longer."""
        job, rules = self.job, self.rules
        longest = rules.late_poll_max if job.done else rules.poll_max
        gap = schedule.next_gap(job.tracking.poll_gap, rules, longest)
        self.track(poll_gap=gap)
        self.call_at(self.now + max(schedule.jittered(job, gap, rules), retry_after or 0))

    def set_verdict(
        self, callback_id: int, verdict: Verdict, *, confirmed: bool | None = None
    ) -> None:
        """Set a callback's verdict; the last one in a transition counts. `confirmed` says whether a
        status call confirmed an accepted claim."""
        by_call = verdict in (Verdict.CONFIRMED, Verdict.DENIED)
        evidence = Evidence.POLL if by_call else Evidence.CALLBACK
        self.verdicts[callback_id] = CallbackVerdict(callback_id, verdict, confirmed, evidence)

    def truncate(self, result: Mapping[str, Any]) -> Mapping[str, Any]:
        """Truncate a result to what the job's row can hold; if that cuts anything, the transition
        also stores the whole."""
        truncated = truncate_result(result)
        if truncated is not result:
            self.whole_result = result
        return truncated

    def note(self, type_: str, **detail: Any) -> None:
        """Add a note to the history."""
        self.notes.append(Note(type_, detail, self.now))


def visible(job: Job) -> tuple[Any, ...]:
    """The fields whose change creates an event, and a webhook if `relay_message` makes one. A
    finished job's provider id and its renewed link do neither."""
    shown = (job.status, job.phase, job.progress, job.message, job.error, job.provider_status)
    return shown if job.done else (*shown, job.provider_request_id)
