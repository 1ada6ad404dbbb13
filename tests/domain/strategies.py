"""Hypothesis strategies for everything that can happen to a job."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import NamedTuple, TypeAlias

from hypothesis import strategies as st

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
from receiver.domain.observations import (
    CallbackReceived,
    CancelAnswer,
    CancelRequested,
    DownloadEnded,
    FileFailed,
    FileStored,
    LinkRenewed,
    Observation,
    SubmissionBegins,
    SubmissionEnded,
    SubmissionLost,
    TimeoutReached,
)
from receiver.domain.schedule import DAY, HOUR, MINUTE, SECOND, Rules
from store.records.jobs import Job, Status
from store.records.times import Millis
from store.records.transitions import Transition
from tests.domain.jobs import (
    ID,
    LINK,
    NEXT,
    OTHER_ID,
    STATES,
    Story,
    completed,
    in_state,
    report,
    status_call,
)

Act: TypeAlias = Callable[[Millis, int], Observation | SubmitAnswer]
"""Makes an observation at a time; the number becomes the callback's id."""


def callback_act(report: Report, verified: bool = False) -> Act:
    return lambda _now, n: CallbackReceived(n, report, verified)


def poll_act(answer: Report | StatusAnswer, ago: Millis, number: int = NEXT) -> Act:
    return lambda now, _: status_call(now - ago, answer, number)


def plain_act(observation: Observation | SubmitAnswer) -> Act:
    return lambda _now, _n: observation


provider_ids = st.sampled_from([None, ID, ID, OTHER_ID])
reports = st.builds(
    report,
    st.sampled_from([None, *Status]),
    provider_status=st.sampled_from([None, "STITCHING", "A" * 100]),
    progress=st.sampled_from([None, 0.0, 20, 55.5, 99.9, 100]),
    result=st.sampled_from([None, {"videoUrl": LINK}]),
    message=st.sampled_from([None, "", "Line one\u2028line two", "m" * 9_000]),
    provider_request_id=provider_ids,
) | st.sampled_from(
    [
        replace(completed(link=None), result_is_gone=True),
        replace(completed(), measured={"predict_time": Decimal(3)}),
    ]
)
retry_after = st.sampled_from([None, 0, 90 * SECOND, DAY])
answers: st.SearchStrategy[StatusAnswer] = st.one_of(
    st.builds(StatusReport, reports, retry_after),
    st.builds(StatusMissing, retry_after),
    st.builds(StatusUnavailable, st.just("timeout"), retry_after),
)
callbacks = st.builds(callback_act, reports, st.sampled_from([False, False, True]))
# A job's first call may end after later ones.
numbers = st.sampled_from([NEXT, NEXT, NEXT, 1])
polls = st.builds(poll_act, answers, st.sampled_from([0, 100, 14 * SECOND]), numbers)
others: st.SearchStrategy[Act] = st.sampled_from(
    [
        lambda now, _: SubmissionBegins(NEXT, now + 70 * SECOND),
        lambda now, _: SubmissionBegins(1, now + 70 * SECOND),
        *(
            plain_act(observation)
            for observation in (
                SubmissionLost("killed"),
                SubmitAccepted(ID),
                SubmitAccepted(OTHER_ID),
                SubmitAccepted(None),
                SubmitRefused(422, "No."),
                SubmitRefused(403, "Forbidden"),
                SubmitNotSent("refused", 5 * SECOND),
                SubmitAmbiguous("reset"),
                SubmissionEnded(SubmissionBegins(1, 0), SubmitNotSent("refused")),
                SubmissionEnded(SubmissionBegins(1, 0), SubmitRefused(400, "No.")),
                SubmissionEnded(SubmissionBegins(1, 0), SubmitAmbiguous("reset")),
                TimeoutReached(),
                CancelRequested(),
                CancelRequested(frozenset({"samsar"})),
                CancelAnswer("accepted", 200),
                LinkRenewed({"videoUrl": LINK + "?again"}),
                DownloadEnded(0, 0, FileStored(9, "video/mp4", "0" * 64, "ada/1.mp4")),
                DownloadEnded(0, 0, FileFailed("timeout")),
                DownloadEnded(0, 1, FileFailed("gone", final=True)),
                DownloadEnded(1, 0, FileFailed("timeout")),
            )
        ),
    ]
)
pauses = st.sampled_from(
    [0, 1, 900, 5 * SECOND, 45 * SECOND, 11 * MINUTE, 61 * MINUTE, 25 * HOUR, -1, -2 * HOUR]
)
acts = st.one_of(callbacks, polls, others)
starts = st.sampled_from([name for name in STATES if name != "queued"] + ["queued"] * 8)
rules = st.builds(
    Rules,
    confirm_callbacks=st.sampled_from([True, True, False]),
    unconfirmed_deadline=st.sampled_from([MINUTE, HOUR]),
    poll_max=st.sampled_from([MINUTE, 20 * MINUTE]),
    archive=st.booleans(),
)


class Step(NamedTuple):
    """One observation and its effect."""

    before: Job
    observation: Observation
    transition: Transition | None
    after: Job
    now: Millis
    rules: Rules


Script: TypeAlias = list[tuple[Millis, Act]]
"""Each step: a pause, and the observation after it."""
scripts = st.lists(st.tuples(pauses, acts), max_size=25)


def play(start: str, script: Script, rules: Rules) -> tuple[Story, list[Step]]:
    story, steps = in_state(start, rules=rules), []
    for n, (pause, act) in enumerate(script, start=100):
        before = story.job
        observation = story.named(act(story.now + pause, n))
        if isinstance(observation, CallbackReceived):
            named = observation.report.provider_request_id
            if named is not None and before.provider_request_id not in (None, named):
                continue  # the store does not apply a callback that names another job
        transition = story.observe(observation, pause)
        steps.append(Step(before, observation, transition, story.job, story.now, rules))
    return story, steps
