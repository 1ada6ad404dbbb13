"""A move in the making: what the parts of the state machine write on."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from receiver.domain import schedule
from receiver.domain.schedule import Rules
from store.records import Due, Evidence, Job, Lane, Millis, Move, Note, Ruling, Verdict


@dataclass(slots=True)
class Draft:
    """A move in the making."""

    job: Job
    now: Millis
    rules: Rules
    rulings: list[Ruling] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def set(self, **fields: Any) -> None:
        """Change the job."""
        self.job = replace(self.job, **fields)

    def track(self, **fields: Any) -> None:
        """Change what is remembered of it between observations."""
        self.set(tracking=replace(self.job.tracking, **fields))

    def rule(
        self,
        callback_id: int,
        verdict: Verdict,
        *,
        confirmed: bool | None = None,
        evidence: Evidence = Evidence.CALLBACK,
    ) -> None:
        """Give a callback its verdict."""
        self.rulings.append(Ruling(callback_id, verdict, confirmed, evidence))

    def note(self, type_: str, **detail: Any) -> None:
        """Write a line into the journal."""
        self.notes.append(Note(type_, detail, self.now))


def visible(job: Job) -> tuple[Any, ...]:
    """What a user sees change. A finished job's id and its renewed link are news to nobody."""
    shown = (job.status, job.phase, job.progress, job.message, job.error, job.provider_status)
    return shown if job.done else (*shown, job.provider_request_id)


def let_inbox_go_first(draft: Draft, lane: Lane) -> None:
    """Callbacks on disk may change what is to be decided: look again when they are applied."""
    draft.set(due=Due(lane, draft.now + schedule.INBOX_FIRST))


def look_again(draft: Draft, at: Millis) -> None:
    """Ask the provider at `at`; whom nobody can ask waits for its deadline."""
    draft.set(due=schedule.next_look(draft.job, at, draft.now, draft.rules))


Decision = Callable[[Job], Move | None]
