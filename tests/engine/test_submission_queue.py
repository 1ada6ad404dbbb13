"""`SubmissionQueue`: which jobs it accepts, which it leases, and whose job is next."""

import asyncio
from dataclasses import replace

import pytest

from receiver.domain.schedule import Rules
from receiver.engine import submission_queue
from receiver.engine.submission_queue import QueuedSubmission, SubmissionQueue
from store.backlogs import Backlog
from store.errors import OutcomeUnknown, StoreBusy
from store.idempotency import Replay
from store.records.holds import Hold, ProviderHolds, Refusal
from store.records.jobs import Job, Phase
from store.records.moves import NewJob
from store.records.times import Lease
from tests.domain.jobs import new_job
from tests.store.world import NOW, SECOND
from tests.support.manual_clock import ManualClock


def queue(slots: int = 4) -> SubmissionQueue:
    """An empty queue of a process that has read the store's."""
    empty = SubmissionQueue("me", slots, ManualClock(NOW))
    empty.plan_leases([], NOW)
    return empty


def busy_queue() -> SubmissionQueue:
    """A queue without a free slot."""
    busy = queue(1)
    assert hand_over(busy, job_of(99))
    assert busy.take() is not None
    return busy


def job_of(user_id: int, number: int = 0) -> Job:
    return replace(new_job(), id=f"job_{user_id}_{number}", user_id=user_id)


def accept(by: SubmissionQueue, job: Job) -> QueuedSubmission | None:
    return by.accept(NewJob(job, {}, (b"",)), Rules())


def hand_over(to: SubmissionQueue, job: Job) -> bool:
    queued = accept(to, job)
    if queued is not None:
        to.end_creation(queued, ended(queued.job))
    return queued is not None


def ended(outcome: Job | Replay | Exception) -> asyncio.Future[Job | Replay]:
    """The write of a creation, with its outcome."""
    writing = asyncio.get_running_loop().create_future()
    if isinstance(outcome, Exception):
        writing.set_exception(outcome)
    else:
        writing.set_result(outcome)
    return writing


async def test_a_submission_begins_with_its_creation_while_a_slot_is_free() -> None:
    waiting = queue(2)
    for number in range(3):
        assert hand_over(waiting, job_of(1, number))
    first, second = waiting.take(), waiting.take()
    assert first is not None
    assert second is not None
    assert waiting.take() is None
    assert first.new is not None
    assert first.begun is not None
    assert (first.job.phase, len(first.new.events)) == (Phase.SUBMITTING, first.job.seq)
    waiting.give_back(first.job)
    third = waiting.take()
    assert third is not None
    assert (third.job.phase, third.begun) == (Phase.QUEUED, None)


async def test_no_submission_begins_with_its_creation_while_others_wait() -> None:
    waiting = busy_queue()
    assert hand_over(waiting, job_of(1))
    waiting.give_back(job_of(99))
    late = accept(waiting, job_of(2))
    assert late is not None
    assert late.begun is None


async def test_no_submission_begins_with_its_creation_while_another_is_created_to_wait() -> None:
    waiting = busy_queue()
    first = accept(waiting, job_of(1))
    waiting.give_back(job_of(99))  # the slot belongs to the first one, once it is on disk
    late = accept(waiting, job_of(2))
    assert first is not None
    assert late is not None
    assert late.begun is None
    waiting.end_creation(late, ended(late.job))
    waiting.end_creation(first, ended(first.job))
    assert waiting.take() is not None


async def test_nothing_is_sent_before_the_holds_in_the_store_are_known() -> None:
    fresh = SubmissionQueue("me", 4, ManualClock(NOW))
    queued = accept(fresh, job_of(1))
    assert queued is not None
    assert queued.begun is None
    fresh.end_creation(queued, ended(queued.job))
    assert await fresh.wake.wait(0)
    assert fresh.take() is None
    fresh.plan_leases([], NOW)
    assert await fresh.wake.wait(0)
    assert fresh.take() is queued


async def test_a_job_past_its_deadline_does_not_begin() -> None:
    queued = accept(queue(), replace(job_of(1), created_at=NOW - Rules().job_deadline))
    assert queued is not None
    assert queued.begun is None


@pytest.mark.parametrize(
    ("outcome", "is_taken"),
    [
        (Replay("job_1_0", None), False),
        (StoreBusy("full"), False),
        (OutcomeUnknown("the disk failed"), True),
    ],
)
async def test_a_job_that_was_not_created_gives_its_slot_back(
    outcome: Replay | Exception, is_taken: bool
) -> None:
    waiting = queue(1)
    queued = accept(waiting, job_of(1))
    assert queued is not None
    waiting.end_creation(queued, ended(outcome))
    assert waiting.in_creation == 0
    assert (waiting.take() is queued) == is_taken
    assert not queued.is_stored
    after = accept(waiting, job_of(1, 1))
    assert after is not None
    assert (after.begun is None) == is_taken


async def test_handed_over_jobs_are_bounded_per_user_and_in_total() -> None:
    waiting = busy_queue()
    taken = [hand_over(waiting, job_of(1, number)) for number in range(100)]
    assert taken.count(True) == submission_queue.MAX_HANDED_OVER_PER_USER
    taken += [hand_over(waiting, job_of(user, n)) for user in range(2, 12) for n in range(50)]
    assert taken.count(True) == submission_queue.MAX_HANDED_OVER
    # A job that is being created counts too.
    fresh = busy_queue()
    accepted = [
        accept(fresh, job_of(1)) for _ in range(submission_queue.MAX_HANDED_OVER_PER_USER + 1)
    ]
    assert accepted[0] is not None
    assert accepted[-1] is None
    fresh.end_creation(accepted[0], ended(StoreBusy("full")))
    assert accept(fresh, job_of(1)) is not None


async def test_jobs_of_a_held_user_are_not_accepted_and_waiting_ones_are_removed() -> None:
    waiting = busy_queue()
    assert hand_over(waiting, job_of(1))
    refusal = Refusal("job_x", 1, "u1", 429)
    waiting.holds = {"samsar": ProviderHolds(Hold(NOW + SECOND, SECOND, (refusal,)))}
    assert not hand_over(waiting, job_of(2))
    assert waiting.remove_held(NOW) == ["job_1_0"]
    other = Backlog("other", 1)
    assert waiting.plan_leases([Backlog("samsar", 1), other], NOW) == {other: 2}


def test_after_a_hold_one_job_is_sent_and_not_the_refused_one() -> None:
    waiting = queue()
    refusal = Refusal("job_1_0", 1, "u1", 429)
    waiting.holds = {"samsar": ProviderHolds(Hold(NOW, SECOND, (refusal,)))}
    backlogs = [Backlog("samsar", user_id) for user_id in (1, 2)]
    wanted = waiting.plan_leases(backlogs[:1], NOW)
    assert wanted == {backlogs[0]: 2}
    jobs = [job_of(1, 0), job_of(1, 1)]
    assert waiting.add(jobs, wanted, waiting.new_lease()) == ["job_1_0"]
    # The probe waits here, so no second one is leased.
    assert waiting.plan_leases(backlogs, NOW) == {}
    assert queue().plan_leases(backlogs, NOW) != {}


def test_leases_from_the_store_are_bounded_and_shared_by_all_users() -> None:
    waiting = queue(32)
    wanted = waiting.plan_leases([Backlog("samsar", user) for user in range(100)], NOW)
    assert len(wanted) == 100
    assert set(wanted.values()) <= set(range(1, 17))
    assert sum(wanted.values()) <= submission_queue.MAX_QUEUED
    many = waiting.plan_leases([Backlog("samsar", user) for user in range(1_000)], NOW)
    assert sum(many.values()) == submission_queue.MAX_QUEUED
    assert Backlog("samsar", 0) in many


async def test_a_waiting_job_that_was_leased_again_has_its_new_lease() -> None:
    waiting, job = busy_queue(), job_of(1)
    assert hand_over(waiting, job)
    again = replace(job, attempts=1)
    lease = Lease("me", NOW + SECOND)
    assert waiting.add([again], {Backlog("samsar", 1): 8}, lease) == []
    waiting.give_back(job_of(99))
    taken = waiting.take()
    assert taken is not None
    assert (taken.job, taken.lease, waiting.take()) == (again, lease, None)


def test_an_empty_backlog_says_nothing_of_the_users_backlog_at_another_provider() -> None:
    waiting = queue()
    here, other = Backlog("samsar", 1), Backlog("other", 1)
    wanted = waiting.plan_leases([here, other], NOW)
    jobs = [replace(job_of(1, number), provider="other") for number in range(wanted[other])]
    assert waiting.add([job_of(1, 99), *jobs], wanted, waiting.new_lease()) == []

    assert accept(waiting, replace(job_of(1), provider="other")) is None, "older jobs go first"
    assert accept(waiting, job_of(1)) is not None
