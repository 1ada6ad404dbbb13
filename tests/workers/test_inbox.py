"""The inbox: the order of callbacks, failures, and leftovers."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from receiver.workers import inbox as inbox_module
from receiver.workers.inbox import LOOK_SECONDS, Inbox
from receiver.workers.poller import LEASE
from store.errors import StoreUnavailable
from store.records.jobs import Job, Status
from store.records.times import Lane
from tests.store.world import SECOND, bodies
from tests.workers.harness import Counted, Harness

RUNNING = b'{"status":"IN_PROGRESS","progress":10}'
COMPLETED = b'{"status":"COMPLETED","result":{"videoUrl":"https://cdn.example/v.mp4"}}'


class Claims:
    """Collects the jobs that the inbox hands over for confirmation."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def __call__(self, job: Job) -> None:
        self.jobs.append(job)


@pytest.fixture
def claims() -> Claims:
    return Claims()


@pytest.fixture
def inbox(harness: Harness, claims: Claims) -> Inbox:
    return Inbox(harness.services, harness.hub, claims)


async def receive(harness: Harness, job: Job, body: bytes) -> None:
    final = b"COMPLETED" in body or b"FAILED" in body
    assert await harness.world.receive(job, body, at=harness.clock.now(), final=final) == "accepted"


def applying_in_order(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the jobs whose callbacks are applied from now on, in order."""
    order: list[str] = []
    apply = harness.store.callbacks.apply

    def noting(job_id: str, *rest: Any, **named: Any) -> Any:
        order.append(job_id)
        return apply(job_id, *rest, **named)

    monkeypatch.setattr(harness.store.callbacks, "apply", noting)
    return order


def failing_once(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, job: Job, error: Callable[[], Exception]
) -> None:
    """The next application of this job's callbacks fails."""
    apply = harness.store.callbacks.apply
    failed: list[str] = []

    async def fail(job_id: str, *rest: Any, **named: Any) -> Any:
        if job_id == job.id and not failed:
            failed.append(job_id)
            raise error()
        return await apply(job_id, *rest, **named)

    monkeypatch.setattr(harness.store.callbacks, "apply", fail)


# --- order ----------------------------------------------------------------------------------------


async def test_callbacks_of_this_process_are_applied_without_a_query(
    harness: Harness, inbox: Inbox
) -> None:
    job = await harness.accepted_job("up-1")
    store = Counted(harness.store.callbacks, "jobs_waiting")
    assert await inbox.run_once() == 0
    assert store.take() == ["jobs_waiting"]  # leftovers

    await receive(harness, job, RUNNING)
    assert await inbox.run_once() == 1

    assert await harness.verdicts(job) == ["applied"]
    assert store.take() == []
    assert await inbox.run_once() == 0


async def test_a_flood_of_a_job_s_progress_is_one_change(harness: Harness, inbox: Inbox) -> None:
    job = await harness.accepted_job("up-1")
    for body in bodies(90):
        await receive(harness, job, body)

    assert await inbox.run_once() == 1

    found = await harness.found(job)
    assert (found.progress, found.seq) == (89, job.seq + 1)
    assert set(await harness.verdicts(job)) == {"applied"}


async def test_callbacks_over_the_limit_of_a_change_are_applied_next(
    harness: Harness, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "CALLBACKS_AT_ONCE", 4)
    job = await harness.accepted_job("up-1")
    for body in bodies(10):
        await receive(harness, job, body)

    assert [await inbox.run_once() for _ in range(4)] == [1, 1, 1, 0]
    assert (await harness.found(job)).progress == 9


async def test_outcomes_go_before_the_progress_of_other_jobs(
    harness: Harness, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "JOBS_AT_ONCE", 3)
    jobs = [await harness.accepted_job(f"up-{number}") for number in range(6)]
    order = applying_in_order(harness, monkeypatch)
    await inbox.run_once()
    for job in jobs:
        await receive(harness, job, RUNNING)
    for job in (jobs[5], jobs[3]):
        await receive(harness, job, COMPLETED)

    assert [await inbox.run_once() for _ in range(3)] == [3, 3, 0]

    places = [5, 3, 0, 1, 2, 4]
    assert order == [jobs[place].id for place in places]


async def test_progress_is_applied_after_many_outcomes(
    harness: Harness, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "JOBS_AT_ONCE", 2)
    jobs = [await harness.accepted_job(f"up-{number}") for number in range(4)]
    order = applying_in_order(harness, monkeypatch)
    await inbox.run_once()
    await receive(harness, jobs[0], RUNNING)
    for job in jobs[1:]:
        await receive(harness, job, COMPLETED)

    while await inbox.run_once():
        pass

    assert order == [job.id for job in (*jobs[1:], jobs[0])]


async def test_a_claim_is_handed_over_with_a_lease(
    harness: Harness, inbox: Inbox, claims: Claims
) -> None:
    job = await harness.accepted_job("up-1")
    await receive(harness, job, COMPLETED)

    await inbox.run_once()

    (claimed,) = claims.jobs
    assert (claimed.id, claimed.due and claimed.due.lane) == (job.id, Lane.CONFIRM)
    assert await harness.lease("another", Lane.CONFIRM) == []
    harness.clock.advance(LEASE / SECOND)
    assert await harness.lease("another", Lane.CONFIRM) == [job.id]


async def test_only_claims_are_handed_over(harness: Harness, inbox: Inbox, claims: Claims) -> None:
    job, finished = await harness.accepted_job("up-1"), await harness.accepted_job("up-2")
    await receive(harness, job, RUNNING)
    await receive(harness, finished, COMPLETED)
    await inbox.run_once()
    claims.jobs.clear()
    inbox.offer(finished.id, final=True)  # none of its callbacks waits any more

    await inbox.run_once()

    assert claims.jobs == []


async def test_the_id_of_another_job_is_a_conflict_and_other_callbacks_count(
    harness: Harness, inbox: Inbox
) -> None:
    job = await harness.accepted_job("up-1", provider_request_id=None)
    await receive(harness, job, b'{"status":"IN_PROGRESS","progress":10}')
    await receive(harness, job, b'{"status":"IN_PROGRESS","progress":20,"request_id":"up-2"}')
    await harness.accepted_job("up-2")  # after the callback was stored

    await inbox.run_once()

    assert await harness.verdicts(job) == ["applied", "conflict"]
    found = await harness.found(job)
    assert (found.progress, found.provider_request_id) == (10, None)


# --- leftovers ------------------------------------------------------------------------------------


async def test_leftover_callbacks_are_found_at_start(harness: Harness, claims: Claims) -> None:
    job = await harness.accepted_job("up-1")
    await receive(harness, job, RUNNING)
    inbox = Inbox(harness.services, harness.hub, claims)

    assert await inbox.run_once() == 1
    assert await harness.verdicts(job) == ["applied"]


async def test_callbacks_of_another_process_are_found_within_a_second(
    harness: Harness, inbox: Inbox
) -> None:
    await inbox.run_once()
    job = await harness.accepted_job("up-1")
    harness.store.on_change = lambda _: None  # as if another process stored it
    await receive(harness, job, RUNNING)
    store = Counted(harness.store.callbacks, "jobs_waiting")

    harness.clock.advance(LOOK_SECONDS * 0.9)
    assert [await inbox.run_once() for _ in range(3)] == [0, 0, 0]
    assert store.take() == []

    harness.clock.advance(LOOK_SECONDS * 0.1)
    assert [await inbox.run_once() for _ in range(3)] == [1, 0, 0]
    assert store.take() == ["jobs_waiting"]


async def test_jobs_over_the_limit_are_found_later(
    harness: Harness, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "MOST_OFFERED", 2)
    jobs = [await harness.accepted_job(f"up-{number}") for number in range(3)]
    await inbox.run_once()
    for job in jobs:
        await receive(harness, job, RUNNING)

    assert [await inbox.run_once() for _ in range(2)] == [2, 0]
    harness.clock.advance(LOOK_SECONDS)
    assert await inbox.run_once() == 1
    assert [await harness.verdicts(job) for job in jobs] == [["applied"]] * 3


async def test_a_removed_job_is_skipped(harness: Harness, inbox: Inbox) -> None:
    inbox.offer("job_unknown", final=True)

    assert await inbox.run_once() == 1
    assert await inbox.run_once() == 0


async def test_an_offer_ends_the_wait(harness: Harness, inbox: Inbox) -> None:
    await inbox.run_once()
    job = await harness.accepted_job("up-1")
    idling = asyncio.create_task(inbox.idle())
    await asyncio.sleep(0)
    assert not idling.done()

    await receive(harness, job, RUNNING)

    await asyncio.wait_for(idling, LOOK_SECONDS / 2)


# --- failures -------------------------------------------------------------------------------------


async def test_a_callback_that_cannot_be_applied_does_not_block_others(
    harness: Harness, inbox: Inbox
) -> None:
    job, other = await harness.accepted_job("up-1"), await harness.accepted_job("up-2")
    for body in (*bodies(3), b'{"poison":1}', b'{"status":"IN_PROGRESS","progress":50}'):
        await receive(harness, job, body)
    await receive(harness, other, RUNNING)

    with capture_logs() as logs:
        while await inbox.run_once():
            pass
        harness.clock.advance(LOOK_SECONDS)
        while await inbox.run_once():
            harness.clock.advance(LOOK_SECONDS)

    assert await harness.verdicts(job) == ["applied"] * 3 + ["failed", "applied"]
    assert (await harness.found(job)).progress == 50
    assert (await harness.found(job)).status is Status.IN_PROGRESS
    assert await harness.verdicts(other) == ["applied"]
    failures = [log for log in logs if log["event"] == "a callback could not be applied"]
    assert [(log["request_id"], log["tries"]) for log in failures] == [
        (job.id, tries) for tries in (1, 2, 3)
    ]
    assert {type(log["exc_info"]) for log in failures} == {ZeroDivisionError}
    # It is polled instead.
    found = await harness.found(job)
    assert found.due is not None


async def test_two_bad_callbacks_each_have_three_tries(harness: Harness, inbox: Inbox) -> None:
    job = await harness.accepted_job("up-1")
    for body in (b'{"poison":1}', RUNNING, b'{"poison":2}'):
        await receive(harness, job, body)

    with capture_logs() as logs:
        for _ in range(20):
            await inbox.run_once()
            harness.clock.advance(LOOK_SECONDS)

    assert await harness.verdicts(job) == ["failed", "applied", "failed"]
    tries = [log["tries"] for log in logs if log["event"] == "a callback could not be applied"]
    assert tries == [1, 2, 3, 1, 2, 3]


async def test_after_a_store_failure_callbacks_are_offered_again(
    harness: Harness, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "JOBS_AT_ONCE", 2)
    jobs = [await harness.accepted_job(f"up-{number}") for number in range(3)]
    await inbox.run_once()
    for job in jobs[:2]:
        await receive(harness, job, RUNNING)
    await receive(harness, jobs[2], COMPLETED)
    failing_once(harness, monkeypatch, jobs[2], lambda: StoreUnavailable("the disk is away"))

    with pytest.raises(StoreUnavailable):
        await inbox.run_once()

    # The other job of the batch is applied, and the outcome goes first again.
    assert [await harness.verdicts(job) for job in jobs] == [["applied"], ["waiting"], ["waiting"]]
    order = applying_in_order(harness, monkeypatch)
    assert await inbox.run_once() == 2
    assert order == [jobs[2].id, jobs[1].id]
    assert [(await harness.verdicts(job))[0] for job in jobs] == ["applied", "applied", "claimed"]


async def test_after_a_fault_of_ours_callbacks_are_offered_again(
    harness: Harness, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await harness.accepted_job("up-1")
    await receive(harness, job, RUNNING)
    failing_once(harness, monkeypatch, job, lambda: ZeroDivisionError("a mistake"))

    with pytest.raises(ZeroDivisionError):
        await inbox.run_once()

    assert await inbox.run_once() == 1
    assert await harness.verdicts(job) == ["applied"]
