"""Properties: from every reachable state, every job ends, and ends as its provider says."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.domain.answers import Report, StatusAnswer, StatusReport, StatusUnavailable
from receiver.domain.archive import next_file
from receiver.domain.failures import is_provisional
from receiver.domain.observations import CancelAnswer, DownloadEnded, FileStored, TimeoutReached
from receiver.domain.schedule import DAY, GRACE, MINUTE, SECOND, Rules
from store.records.jobs import Status
from store.records.times import Lane, Millis
from tests.domain.jobs import ID, Story, completed, failed, report, status_call
from tests.domain.strategies import Script, play, rules, scripts, starts

OUTCOMES: list[Report] = [
    completed(provider_request_id=ID),
    failed(provider_request_id=ID),
    report(Status.CANCELLED, message="Stopped.", provider_request_id=ID),
]


def live(
    story: Story,
    answer: Callable[[], StatusAnswer],
    *,
    until_settled: bool = False,
    held: bool = False,
) -> None:
    """Act like the workers: wait until the job is due, and do what its lane asks for."""
    for _ in range(3_000):
        job = story.job
        if job.due is None or (job.done and not until_settled):
            return
        before, moment = job, story.now
        story.wait_until(job.due.at)
        match job.due.lane:
            case Lane.SUBMIT if held:
                story.wait_until(story.deadline())
                story.observe(TimeoutReached(), 0)
            case Lane.SUBMIT:
                story.begin()
            case Lane.SUBMITTING | Lane.WAIT:
                story.observe(TimeoutReached(), 0)
            case Lane.POLL if job.cancel_wanted:
                story.observe(CancelAnswer("unavailable"), 100)
            case Lane.POLL | Lane.CONFIRM:
                story.observe(status_call(story.now, answer()), 100)
            case Lane.DELIVER:
                raise AssertionError("messages are no rows of jobs")
            case Lane.ARCHIVE:
                index = next_file(job)
                assert index is not None
                stored = FileStored(9, "video/mp4", "0" * 64, "ada/1.mp4")
                story.observe(DownloadEnded(index, job.archive[index].tries, stored), 0)
        assert story.now > moment or story.job != before, "no progress"
    raise AssertionError("the job never ends")


@settings(max_examples=40, deadline=None)
@given(starts, scripts, rules, st.booleans(), st.sampled_from([None, 60 * SECOND, DAY]))
def test_rule_7_without_any_answer_a_job_ends_within_a_day_of_its_deadline(
    start: str, script: Script, rules: Rules, held: bool, retry_after: Millis | None
) -> None:
    """Liveness: time passes, and each status call fails and may ask for a pause."""
    forward = [(abs(pause), act) for pause, act in script]
    story, _ = play(start, forward, rules)
    taken_over_at = story.now
    live(story, lambda: StatusUnavailable("outage", retry_after), held=held)
    job = story.job
    assert job.done
    ends = [taken_over_at + rules.confirm_timeout, story.deadline() + GRACE]
    if job.unconfirmed_at is not None:
        ends.append(job.unconfirmed_at + rules.unconfirmed_deadline)
    assert job.done_at is not None
    assert job.done_at <= max(ends) + 5 * MINUTE
    live(story, lambda: StatusUnavailable("outage", retry_after), until_settled=True)
    assert story.job.due is None, "a day later it is no longer polled"


@settings(deadline=None)
@given(starts, scripts, rules, st.sampled_from(OUTCOMES))
def test_with_answers_every_job_that_can_be_asked_for_ends_as_the_provider_says(
    start: str, script: Script, rules: Rules, outcome: Report
) -> None:
    """With every callback lost, each job still reaches its outcome."""
    story, _ = play(start, script, rules)
    known = story.job.provider_request_id is not None
    watched = not story.job.done or (is_provisional(story.job) and story.job.due is not None)
    live(story, lambda: StatusReport(outcome), until_settled=True)
    if known and watched:
        assert story.job.status is outcome.status
        assert story.job.result == outcome.result
        assert not is_provisional(story.job)
    assert story.job.done
