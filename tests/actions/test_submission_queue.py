"""`SubmissionQueue`: which jobs it accepts, which it leases, and whose job is next."""

from dataclasses import replace

from receiver.actions import submission_queue
from receiver.actions.submission_queue import SubmissionQueue
from receiver.clock import SystemClock
from store.backlogs import Backlog
from store.holds import Hold, ProviderHolds, Refusal
from store.records.jobs import Job
from store.records.moves import NewJob
from store.records.times import Lease
from tests.domain.jobs import new_job
from tests.store.world import NOW, SECOND


def queue(slots: int = 4) -> SubmissionQueue:
    return SubmissionQueue("me", slots, SystemClock())


def job_of(user_id: int, number: int = 0) -> Job:
    return replace(new_job(), id=f"job_{user_id}_{number}", user_id=user_id)


def hand_over(to: SubmissionQueue, job: Job) -> bool:
    lease = to.lease(job)
    if lease is None:
        return False
    to.offer(NewJob(job, {}, b""), lease)
    return True


def test_handed_over_jobs_are_bounded_per_user_and_in_total() -> None:
    waiting = queue()
    taken = [hand_over(waiting, job_of(1, number)) for number in range(100)]
    assert taken.count(True) == submission_queue.MAX_HANDED_OVER_PER_USER
    taken += [hand_over(waiting, job_of(user, n)) for user in range(2, 12) for n in range(50)]
    assert taken.count(True) == submission_queue.MAX_HANDED_OVER
    # A lease for a job that is still being written counts too, until it is declined.
    fresh = queue()
    leases = [fresh.lease(job_of(1)) for _ in range(submission_queue.MAX_HANDED_OVER_PER_USER + 1)]
    assert leases[-1] is None
    fresh.decline(job_of(1))
    assert fresh.lease(job_of(1)) is not None


def test_jobs_of_a_held_user_are_not_accepted_and_waiting_ones_are_removed() -> None:
    waiting = queue()
    assert hand_over(waiting, job_of(1))
    refusal = Refusal("job_x", 1, "u1", 429)
    waiting.holds = {"samsar": ProviderHolds(Hold(NOW + SECOND, SECOND, (refusal,)))}
    assert not hand_over(waiting, job_of(2))
    assert waiting.remove_held(NOW) == ["job_1_0"]
    other = Backlog("other", 1)
    assert waiting.plan_leases([Backlog("samsar", 1), other], NOW) == {other: 8}


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


def test_a_waiting_job_that_was_leased_again_has_its_new_lease() -> None:
    waiting, job = queue(), job_of(1)
    assert hand_over(waiting, job)
    again = replace(job, attempts=1)
    lease = Lease("me", NOW + SECOND)
    assert waiting.add([again], {Backlog("samsar", 1): 8}, lease) == []
    taken = waiting.take()
    assert taken is not None
    assert (taken.job, taken.lease, waiting.take()) == (again, lease, None)


def test_an_empty_backlog_says_nothing_of_the_users_backlog_at_another_provider() -> None:
    waiting = queue()
    here, other = Backlog("samsar", 1), Backlog("other", 1)
    wanted = waiting.plan_leases([here, other], NOW)
    jobs = [replace(job_of(1, number), provider="other") for number in range(wanted[other])]
    assert waiting.add([job_of(1, 99), *jobs], wanted, waiting.new_lease()) == []

    assert waiting.lease(replace(job_of(1), provider="other")) is None, "older jobs go first"
    assert waiting.lease(job_of(1)) is not None
