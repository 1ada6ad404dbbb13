"""Jobs in every state, each led there by the state machine itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeAlias

from receiver.domain.answers import (
    Report,
    StatusAnswer,
    StatusMissing,
    StatusReport,
    StatusUnavailable,
    SubmitAccepted,
    SubmitAmbiguous,
    SubmitAnswer,
    SubmitNotSent,
    SubmitRefused,
)
from receiver.domain.lifecycle import decide
from receiver.domain.observations import (
    CallbackReceived,
    CancelRequested,
    Observation,
    StatusCallEnded,
    SubmissionBegins,
    SubmissionEnded,
    TimeoutReached,
)
from receiver.domain.schedule import DAY, MINUTE, SECOND, Rules, deadline
from store.records.callbacks import Verdict
from store.records.costs import Cost, CostState
from store.records.jobs import ErrorCode, Job, Phase, Status
from store.records.times import Due, Lane, Millis
from store.records.transitions import Transition

START: Millis = 1_767_323_045_678
RULES = Rules()
ID = "samsar-1"
_RESERVED = Decimal("0.42")
COST = Cost(_RESERVED, "USD", CostState.RESERVED, _RESERVED, {"predict_time": Decimal("0.1")})
HOOK = "https://user.example/hook"
OTHER_ID = "samsar-2"
LINK = "https://cdn.example/one.mp4"
MISSING = StatusMissing()
UNAVAILABLE = StatusUnavailable("timeout")
PASSED_ON = CancelRequested(frozenset({"samsar"}))
"""A cancel that the provider can be asked for."""
EVERY_EVENT = ("IN_PROGRESS", "progress", "COMPLETED", "FAILED", "CANCELLED")


def new_job(*, webhook_url: str | None = HOOK, events: tuple[str, ...] = EVERY_EVENT) -> Job:
    """A job as a POST creates it."""
    return Job(
        id="job_01KDYQ3MDE0000000000000000",
        user_id=1,
        user="ann",
        provider="samsar",
        kind="create_movie",
        status=Status.PENDING,
        phase=Phase.QUEUED,
        seq=1,
        created_at=START,
        updated_at=START,
        metadata={"order": "7"},
        webhook_url=webhook_url,
        webhook_events=events,
        cost=COST,
        due=Due(Lane.SUBMIT, START),
    )


def report(
    status: Status | None,
    *,
    provider_status: str | None = None,
    progress: float | None = None,
    result: Mapping[str, Any] | None = None,
    message: str | None = None,
    provider_request_id: str | None = None,
) -> Report:
    """A report of the provider. By default its own status equals our status."""
    return Report(
        status,
        provider_status if provider_status is not None else status,
        progress,
        result,
        message,
        provider_request_id,
    )


def at_work(progress: float | None = None, *, provider_request_id: str | None = None) -> Report:
    return report(Status.IN_PROGRESS, progress=progress, provider_request_id=provider_request_id)


def completed(*, link: str | None = LINK, provider_request_id: str | None = None) -> Report:
    return report(
        Status.COMPLETED,
        result=None if link is None else {"videoUrl": link},
        provider_request_id=provider_request_id,
    )


GONE = replace(completed(link=None), provider_status="succeeded", result_is_gone=True)


def failed(
    message: str | None = "Out of credits.", *, provider_request_id: str | None = None
) -> Report:
    return report(Status.FAILED, message=message, provider_request_id=provider_request_id)


CURRENT_ID = "the id that the job has by then"
NEXT = 0
"""Stands for the number of the job's next attempt, or of its next status call."""


def status_call(
    asked_at: Millis, answer: Report | StatusAnswer, number: int = NEXT
) -> StatusCallEnded:
    """A status call for the job's own id."""
    if isinstance(answer, Report):
        answer = StatusReport(answer)
    return StatusCallEnded(number, asked_at, CURRENT_ID, answer)


@dataclass(slots=True)
class Story:
    """A job, the current time, and its transitions since it was created."""

    job: Job = field(default_factory=new_job)
    now: Millis = START
    rules: Rules = RULES
    transitions: list[Transition] = field(default_factory=list)
    callbacks: int = 0

    def observe(
        self, observation: Observation | SubmitAnswer, after: Millis = SECOND
    ) -> Transition | None:
        self.now += after
        transition = decide(self.job, self.named(observation), self.now, self.rules)
        if transition is not None:
            self.job = transition.job
            self.transitions.append(transition)
        return transition

    def named(self, observation: Observation | SubmitAnswer) -> Observation:
        """The observation with the id, the attempt and the call that the job has now."""
        match observation:
            case StatusCallEnded(asked_id=id_) if id_ == CURRENT_ID:
                current_id = self.job.provider_request_id or "none"
                return self.named(replace(observation, asked_id=current_id))
            case StatusCallEnded(number=number) if number == NEXT:
                return replace(observation, number=self.job.tracking.polls + 1)
            case SubmissionBegins(attempt=number) if number == NEXT:
                return replace(observation, attempt=self.job.attempts + 1)
            case SubmitAccepted() | SubmitRefused() | SubmitNotSent() | SubmitAmbiguous():
                return SubmissionEnded(self.begun(), observation)
            case _:
                return observation

    def begun(self) -> SubmissionBegins:
        """The job's latest attempt."""
        return SubmissionBegins(self.job.attempts, self.job.due.at if self.job.due else 0)

    def begin(self) -> Transition | None:
        return self.observe(SubmissionBegins(NEXT, self.now + 70 * SECOND))

    def called_back(
        self, reported: Report, after: Millis = SECOND, *, verified: bool = False
    ) -> Transition | None:
        """The provider's callback arrives."""
        self.callbacks += 1
        return self.observe(CallbackReceived(self.callbacks, reported, verified), after)

    def poll(self, answer: Report | StatusAnswer, took: Millis = 100) -> Transition | None:
        """A status call that begins in a second."""
        return self.observe(status_call(self.now + SECOND, answer), SECOND + took)

    def wait_until(self, at: Millis) -> None:
        self.now = max(self.now, at)

    def due(self) -> Due:
        assert self.job.due is not None
        return self.job.due

    def deadline(self) -> Millis:
        return deadline(self.job, self.rules)


_Act: TypeAlias = Observation | SubmitAnswer | Callable[[Story], object]


def _story(*acts: _Act) -> Callable[[Job, Rules], Story]:
    def build(job: Job, rules: Rules) -> Story:
        story = Story(job, rules=rules)
        for act in acts:
            if callable(act):
                act(story)
            else:
                story.observe(act)
        return story

    return build


def _try_in_vain(story: Story) -> None:
    story.begin()
    story.observe(SubmitNotSent("connection refused"))


def _answer_late(story: Story) -> None:
    story.wait_until(story.due().at)
    story.observe(TimeoutReached(), 0)


def _end_at_deadline(reported: Report) -> Callable[[Story], object]:
    def act(story: Story) -> None:
        story.wait_until(story.deadline())
        story.poll(reported)

    return act


def _lose(story: Story) -> None:
    for _ in range(5):
        story.poll(StatusMissing())
        story.now += 3 * MINUTE


def _callback(reported: Report, *, verified: bool = False) -> Callable[[Story], object]:
    return lambda story: story.called_back(reported, verified=verified)


def _poll(reported: Report) -> Callable[[Story], object]:
    return lambda story: story.poll(reported)


_begin = Story.begin
_accept = SubmitAccepted(ID)
_begin_too_late = (lambda story: story.wait_until(story.deadline() + DAY), _begin)

STATES: Mapping[str, Callable[[Job, Rules], Story]] = {
    "queued": _story(),
    "queued again": _story(_try_in_vain),
    "submitting": _story(_begin),
    "submitting again": _story(_try_in_vain, _begin),
    "submit_unconfirmed": _story(_begin, SubmitAmbiguous("reset")),
    "accepted": _story(_begin, _accept),
    "accepted without id": _story(_begin, SubmitAccepted(None)),
    "rendering": _story(_begin, _accept, _poll(at_work(30))),
    "confirming": _story(_begin, _accept, _poll(at_work(30)), _callback(completed())),
    "confirming without id": _story(_begin, _callback(completed())),
    "link missing": _story(_begin, _accept, _poll(completed(link=None))),
    "link missing, verified": _story(
        _begin, _accept, _callback(completed(link=None), verified=True)
    ),
    "COMPLETED": _story(_begin, _accept, _poll(completed())),
    "FAILED by provider": _story(_begin, _accept, _poll(failed())),
    "provider_refused": _story(_begin, SubmitRefused(400, "Prompt is too long")),
    "not_submitted": _story(*_begin_too_late),
    "deadline_exceeded": _story(_begin, _accept, _end_at_deadline(at_work(40))),
    "deadline_exceeded, claimed": _story(
        _begin, _accept, _end_at_deadline(at_work(40)), _callback(completed())
    ),
    "submit_outcome_unknown": _story(_begin, SubmitAmbiguous("reset"), _answer_late),
    "result_missing": _story(_begin, _accept, _end_at_deadline(completed(link=None))),
    "provider_job_lost": _story(_begin, _accept, _lose),
    "CANCELLED unsent": _story(CancelRequested()),
    "CANCELLED in flight": _story(_begin, CancelRequested()),
    "CANCELLED, to pass on": _story(_begin, _accept, PASSED_ON),
    "CANCELLED by provider": _story(_begin, _accept, _poll(report(Status.CANCELLED))),
}
"""Every state of the state machine, by name: the story that takes a new job to it."""


def in_state(name: str, job: Job | None = None, rules: Rules = RULES) -> Story:
    """A new job that was taken to this state."""
    return STATES[name](job or new_job(), rules)


def verdicts(transition: Transition | None) -> list[tuple[Verdict, bool | None]]:
    assert transition is not None
    return [(each.verdict, each.confirmed) for each in transition.verdicts]


def error_of(story: Story) -> ErrorCode | None:
    return story.job.error.code if story.job.error else None
