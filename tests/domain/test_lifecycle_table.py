"""The state machine as a table: every state and every observation.

`lifecycle_table.txt` has one cell a line; cells of a state with the same outcome share the line.
The columns of an outcome:

    status phase error-code evidence due-lane event relay verdicts history

`evidence` is the job's, `-` before any. `event` means that streams get an event; `relay` that a
webhook is owed (`final` for a final state, `final?` for a provisional one that may yet be
replaced). `verdicts` are those of callbacks: `old` is the claim that the state holds, `new` the one
in the cell, and `unconfirmed` means that it was trusted without a status call. `+` marks lines that
the history gets. `nothing` is a cell in which the machine makes no transition.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from receiver.domain import observations as observed
from receiver.domain.answers import (
    Report,
    StatusAnswer,
    SubmitAccepted,
    SubmitAmbiguous,
    SubmitAnswer,
    SubmitNotSent,
    SubmitRefused,
)
from receiver.domain.lifecycle import decide
from receiver.domain.schedule import GRACE, MINUTE, SECOND
from store.records.jobs import Status
from store.records.times import Millis
from store.records.transitions import Transition
from tests.domain.jobs import (
    GONE,
    ID,
    LINK,
    MISSING,
    NEXT,
    OTHER_ID,
    PASSED_ON,
    RULES,
    STATES,
    UNAVAILABLE,
    Story,
    at_work,
    completed,
    failed,
    in_state,
    report,
    status_call,
)

NEW = 99
Column = Callable[[Story], tuple[observed.Observation | SubmitAnswer, Millis]]
"""The observation for the job of a story, and its time."""


def soon(observation: observed.Observation | SubmitAnswer) -> Column:
    return lambda story: (observation, story.now + SECOND)


def called_back(reported: Report, *, verified: bool = False) -> Column:
    return soon(observed.CallbackReceived(NEW, reported, verified))


def polled(answer: Report | StatusAnswer) -> Column:
    """The call began after all earlier observations."""
    return lambda story: (status_call(story.now + SECOND, answer), story.now + 2 * SECOND)


def polled_before(answer: Report) -> Column:
    """The call began before the latest observation, and is answered after it."""
    return lambda story: (status_call(story.now - 1, answer), story.now + SECOND)


def polled_late(answer: Report | StatusAnswer, late: Millis = SECOND) -> Column:
    """The call began after the job's deadline."""

    def column(story: Story) -> tuple[observed.Observation, Millis]:
        asked_at = max(story.deadline(), story.now) + late
        return status_call(asked_at, answer), asked_at + SECOND

    return column


def past_deadline(observation: observed.Observation | SubmitAnswer) -> Column:
    return lambda story: (observation, max(story.deadline(), story.now) + SECOND)


def when_due(story: Story) -> tuple[observed.Observation, Millis]:
    due = story.job.due
    return observed.TimeoutReached(), story.now if due is None else max(story.now, due.at)


COLUMNS: dict[str, Column] = {
    "begins": soon(observed.SubmissionBegins(NEXT, 10**15)),
    "begins late": past_deadline(observed.SubmissionBegins(NEXT, 10**15)),
    "lost": soon(observed.SubmissionLost("killed")),
    "accepted": soon(SubmitAccepted(ID)),
    "accepted otherwise": soon(SubmitAccepted(OTHER_ID)),
    "accepted unnamed": soon(SubmitAccepted(None)),
    "refused": soon(SubmitRefused(400, "Prompt is too long")),
    "refused 401": soon(SubmitRefused(401, "Unauthorized")),
    "not sent": soon(SubmitNotSent("connection refused")),
    "not sent late": past_deadline(SubmitNotSent("connection refused")),
    "ambiguous": soon(SubmitAmbiguous("reset")),
    "callback 40": called_back(at_work(40, provider_request_id=ID)),
    "callback pending": called_back(report(Status.PENDING)),
    "callback new word": called_back(report(Status.IN_PROGRESS, provider_status="STITCHING")),
    "callback completed": called_back(completed(provider_request_id=ID)),
    "callback completed unnamed": called_back(completed()),
    "callback linkless": called_back(completed(link=None, provider_request_id=ID)),
    "callback failed": called_back(failed(provider_request_id=ID)),
    "callback cancelled": called_back(report(Status.CANCELLED, provider_request_id=ID)),
    "verified completed": called_back(completed(), verified=True),
    "verified linkless": called_back(completed(link=None), verified=True),
    "verified gone": called_back(GONE, verified=True),
    "verified failed": called_back(failed(), verified=True),
    "verified cancelled": called_back(report(Status.CANCELLED), verified=True),
    "poll 40": polled(at_work(40)),
    "poll pending": polled(report(Status.PENDING)),
    "poll 40, asked before": polled_before(at_work(40)),
    "poll 40 late": polled_late(at_work(40)),
    "poll completed": polled(completed()),
    "poll completed late": polled_late(completed()),
    "poll linkless": polled(completed(link=None)),
    "poll linkless late": polled_late(completed(link=None)),
    "poll gone": polled(GONE),
    "poll failed": polled(failed()),
    "poll cancelled": polled(report(Status.CANCELLED)),
    "poll 404": polled(MISSING),
    "poll 404 late": polled_late(MISSING),
    "poll unavailable": polled(UNAVAILABLE),
    "poll unavailable late": polled_late(UNAVAILABLE),
    "poll unavailable a day late": polled_late(UNAVAILABLE, GRACE + MINUTE),
    "time, early": soon(observed.TimeoutReached()),
    "time, due": when_due,
    "cancel": soon(observed.CancelRequested()),
    "cancel, to pass on": soon(PASSED_ON),
    "cancel passed on": soon(observed.CancelAnswer("accepted", 200)),
    "link renewed": soon(observed.LinkRenewed({"videoUrl": LINK + "?again"})),
}


def outcome_of(story: Story, transition: Transition | None) -> str:
    if transition is None:
        return "nothing"
    job = transition.job
    relay = transition.relay and ("final" if transition.relay.final else "update")
    if transition.relay and transition.relay.provisional:
        relay = "final?"
    words = [
        job.status,
        job.phase,
        job.error.code if job.error else "-",
        job.evidence or "-",
        job.due.lane if job.due else "-",
        "event" if transition.event else "-",
        relay or "-",
        *(
            f"{'new' if r.callback_id == NEW else 'old'}:"
            f"{r.verdict}{'(unconfirmed)' if r.confirmed is False else ''}"
            for r in transition.verdicts
        ),
        *(f"+{note.type}" for note in transition.notes),
    ]
    return " ".join(words)


def read_table() -> dict[str, list[tuple[str, str]]]:
    """The cells of each state: observations and outcomes."""
    table: dict[str, list[tuple[str, str]]] = {}
    state = ""
    for line in (Path(__file__).parent / "lifecycle_table.txt").read_text().splitlines():
        if line.startswith("["):
            state = line.strip("[]")
            table[state] = []
        elif line.strip() and not line.startswith("#"):
            columns, outcome = line.split("|")
            words = " ".join(outcome.split())
            table[state] += [(column.strip(), words) for column in columns.split(";")]
    return table


TABLE = read_table()


def test_the_table_has_every_state() -> None:
    assert TABLE.keys() == STATES.keys()


@pytest.mark.parametrize("state", STATES)
def test_a_state_meets_every_observation_once(state: str) -> None:
    def meet(column: str) -> str:
        story = in_state(state)
        observation, now = COLUMNS[column](story)
        return outcome_of(story, decide(story.job, story.named(observation), now, RULES))

    assert sorted(TABLE[state]) == sorted((column, meet(column)) for column in COLUMNS)
