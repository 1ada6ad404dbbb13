"""The inbox: what is applied first, what a callback that fails costs, what is found again."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from receiver.workers import inbox as inbox_module
from receiver.workers.inbox import LOOK_SECONDS, Inbox
from store.errors import StoreUnavailable
from store.records import Job, Lane, Status
from tests.store.world import SECOND, bodies
from tests.workers.surroundings import HOLDER, Counted, Surroundings

LEASE = 30 * SECOND
RUNNING = b'{"status":"IN_PROGRESS","progress":10}'
COMPLETED = b'{"status":"COMPLETED","result":{"videoUrl":"https://cdn.example/v.mp4"}}'


class Claims:
    """What the inbox hands over to be confirmed."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def __call__(self, job: Job) -> None:
        self.jobs.append(job)


@pytest.fixture
def claims() -> Claims:
    return Claims()


@pytest.fixture
def inbox(around: Surroundings, claims: Claims) -> Inbox:
    return Inbox(around.services, around.hub, HOLDER, LEASE, claims)


async def receive(around: Surroundings, job: Job, body: bytes) -> None:
    final = b"COMPLETED" in body or b"FAILED" in body
    assert await around.world.receive(job, body, at=around.clock.now(), final=final) == "accepted"


def applying_in_order(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs whose callbacks are applied from now on, in order."""
    order: list[str] = []
    apply = around.store.callbacks.apply

    def noting(job_id: str, *rest: Any, **named: Any) -> Any:
        order.append(job_id)
        return apply(job_id, *rest, **named)

    monkeypatch.setattr(around.store.callbacks, "apply", noting)
    return order


def failing_once(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch, job: Job, error: Callable[[], Exception]
) -> None:
    """The next application of this job's callbacks fails."""
    apply = around.store.callbacks.apply
    failed: list[str] = []

    async def fail(job_id: str, *rest: Any, **named: Any) -> Any:
        if job_id == job.id and not failed:
            failed.append(job_id)
            raise error()
        return await apply(job_id, *rest, **named)

    monkeypatch.setattr(around.store.callbacks, "apply", fail)


# --- in what order --------------------------------------------------------------------------------


async def test_what_is_stored_here_is_applied_without_asking_the_store(
    around: Surroundings, inbox: Inbox
) -> None:
    job = await around.taken("up-1")
    store = Counted(around.store.callbacks, "jobs_waiting")
    assert await inbox.run_once() == 0
    assert store.taken() == ["jobs_waiting"]  # what was left behind

    await receive(around, job, RUNNING)
    assert await inbox.run_once() == 1

    assert await around.verdicts(job) == ["applied"]
    assert store.taken() == []
    assert await inbox.run_once() == 0


async def test_a_flood_of_a_job_s_progress_is_one_change(
    around: Surroundings, inbox: Inbox
) -> None:
    job = await around.taken("up-1")
    for body in bodies(90):
        await receive(around, job, body)

    assert await inbox.run_once() == 1

    found = await around.found(job)
    assert (found.progress, found.seq) == (89, job.seq + 1)
    assert set(await around.verdicts(job)) == {"applied"}


async def test_what_there_is_no_room_for_is_applied_next(
    around: Surroundings, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "CALLBACKS_AT_ONCE", 4)
    job = await around.taken("up-1")
    for body in bodies(10):
        await receive(around, job, body)

    assert [await inbox.run_once() for _ in range(4)] == [1, 1, 1, 0]
    assert (await around.found(job)).progress == 9


async def test_outcomes_go_before_the_progress_of_other_jobs(
    around: Surroundings, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "JOBS_AT_ONCE", 3)
    jobs = [await around.taken(f"up-{number}") for number in range(6)]
    order = applying_in_order(around, monkeypatch)
    await inbox.run_once()
    for job in jobs:
        await receive(around, job, RUNNING)
    for job in (jobs[5], jobs[3]):
        await receive(around, job, COMPLETED)

    assert [await inbox.run_once() for _ in range(3)] == [3, 3, 0]

    places = [5, 3, 0, 1, 2, 4]
    assert order == [jobs[place].id for place in places]


async def test_progress_beside_many_outcomes_has_its_turn_after_them(
    around: Surroundings, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "JOBS_AT_ONCE", 2)
    jobs = [await around.taken(f"up-{number}") for number in range(4)]
    order = applying_in_order(around, monkeypatch)
    await inbox.run_once()
    await receive(around, jobs[0], RUNNING)
    for job in jobs[1:]:
        await receive(around, job, COMPLETED)

    while await inbox.run_once():
        pass

    assert order == [job.id for job in (*jobs[1:], jobs[0])]


async def test_a_claim_is_handed_over_with_a_hold(
    around: Surroundings, inbox: Inbox, claims: Claims
) -> None:
    job = await around.taken("up-1")
    await receive(around, job, COMPLETED)

    await inbox.run_once()

    (claimed,) = claims.jobs
    assert (claimed.id, claimed.due and claimed.due.lane) == (job.id, Lane.CONFIRM)
    assert await around.lease("another", Lane.CONFIRM) == []
    around.clock.passed += LEASE / SECOND
    assert await around.lease("another", Lane.CONFIRM) == [job.id]


async def test_what_is_no_claim_is_not_handed_over(
    around: Surroundings, inbox: Inbox, claims: Claims
) -> None:
    job, finished = await around.taken("up-1"), await around.taken("up-2")
    await receive(around, job, RUNNING)
    await receive(around, finished, COMPLETED)
    await inbox.run_once()
    claims.jobs.clear()
    inbox.offer(finished.id, final=True)  # and nothing of it waits any more

    await inbox.run_once()

    assert claims.jobs == []


async def test_an_id_that_is_another_job_s_is_a_conflict_and_the_rest_counts(
    around: Surroundings, inbox: Inbox
) -> None:
    job = await around.taken("up-1", provider_request_id=None)
    await receive(around, job, b'{"status":"IN_PROGRESS","progress":10}')
    await receive(around, job, b'{"status":"IN_PROGRESS","progress":20,"request_id":"up-2"}')
    await around.taken("up-2")  # it was nobody's when the callback came

    await inbox.run_once()

    assert await around.verdicts(job) == ["applied", "conflict"]
    found = await around.found(job)
    assert (found.progress, found.provider_request_id) == (10, None)


# --- what was left behind -------------------------------------------------------------------------


async def test_a_start_finds_what_was_left_behind(around: Surroundings, claims: Claims) -> None:
    job = await around.taken("up-1")
    await receive(around, job, RUNNING)
    inbox = Inbox(around.services, around.hub, HOLDER, LEASE, claims)

    assert await inbox.run_once() == 1
    assert await around.verdicts(job) == ["applied"]


async def test_what_another_process_left_is_looked_for_once_a_second(
    around: Surroundings, inbox: Inbox
) -> None:
    await inbox.run_once()
    job = await around.taken("up-1")
    around.store.on_change = lambda _: None  # as of another process
    await receive(around, job, RUNNING)
    store = Counted(around.store.callbacks, "jobs_waiting")

    around.clock.passed += LOOK_SECONDS * 0.9
    assert [await inbox.run_once() for _ in range(3)] == [0, 0, 0]
    assert store.taken() == []

    around.clock.passed += LOOK_SECONDS * 0.1
    assert [await inbox.run_once() for _ in range(3)] == [1, 0, 0]
    assert store.taken() == ["jobs_waiting"]


async def test_what_is_more_than_can_be_remembered_is_found_later(
    around: Surroundings, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "MOST_OFFERED", 2)
    jobs = [await around.taken(f"up-{number}") for number in range(3)]
    await inbox.run_once()
    for job in jobs:
        await receive(around, job, RUNNING)

    assert [await inbox.run_once() for _ in range(2)] == [2, 0]
    around.clock.passed += LOOK_SECONDS
    assert await inbox.run_once() == 1
    assert [await around.verdicts(job) for job in jobs] == [["applied"]] * 3


async def test_a_job_that_is_gone_is_no_trouble(around: Surroundings, inbox: Inbox) -> None:
    inbox.offer("job_unknown", final=True)

    assert await inbox.run_once() == 1
    assert await inbox.run_once() == 0


async def test_what_is_offered_ends_the_wait(around: Surroundings, inbox: Inbox) -> None:
    await inbox.run_once()
    job = await around.taken("up-1")
    idling = asyncio.create_task(inbox.idle())
    await asyncio.sleep(0)
    assert not idling.done()

    await receive(around, job, RUNNING)

    await asyncio.wait_for(idling, LOOK_SECONDS / 2)


# --- what fails -----------------------------------------------------------------------------------


async def test_a_callback_that_cannot_be_applied_counts_by_itself(
    around: Surroundings, inbox: Inbox
) -> None:
    job, other = await around.taken("up-1"), await around.taken("up-2")
    for body in (*bodies(3), b'{"poison":1}', b'{"status":"IN_PROGRESS","progress":50}'):
        await receive(around, job, body)
    await receive(around, other, RUNNING)

    with capture_logs() as logs:
        while await inbox.run_once():
            pass
        around.clock.passed += LOOK_SECONDS
        while await inbox.run_once():
            around.clock.passed += LOOK_SECONDS

    assert await around.verdicts(job) == ["applied"] * 3 + ["failed", "applied"]
    assert (await around.found(job)).progress == 50
    assert (await around.found(job)).status is Status.IN_PROGRESS
    assert await around.verdicts(other) == ["applied"]
    failures = [log for log in logs if log["event"] == "a callback could not be applied"]
    assert [(log["request_id"], log["tries"]) for log in failures] == [
        (job.id, tries) for tries in (1, 2, 3)
    ]
    assert {type(log["exc_info"]) for log in failures} == {ZeroDivisionError}
    # The poll that is owed instead.
    found = await around.found(job)
    assert found.due is not None


async def test_two_that_cannot_be_applied_each_have_their_tries(
    around: Surroundings, inbox: Inbox
) -> None:
    job = await around.taken("up-1")
    for body in (b'{"poison":1}', RUNNING, b'{"poison":2}'):
        await receive(around, job, body)

    with capture_logs() as logs:
        for _ in range(20):
            await inbox.run_once()
            around.clock.passed += LOOK_SECONDS

    assert await around.verdicts(job) == ["failed", "applied", "failed"]
    tries = [log["tries"] for log in logs if log["event"] == "a callback could not be applied"]
    assert tries == [1, 2, 3, 1, 2, 3]


async def test_without_the_store_all_is_offered_again(
    around: Surroundings, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "JOBS_AT_ONCE", 2)
    jobs = [await around.taken(f"up-{number}") for number in range(3)]
    await inbox.run_once()
    for job in jobs[:2]:
        await receive(around, job, RUNNING)
    await receive(around, jobs[2], COMPLETED)
    failing_once(around, monkeypatch, jobs[2], lambda: StoreUnavailable("the disk is away"))

    with pytest.raises(StoreUnavailable):
        await inbox.run_once()

    # Whoever was beside it is applied, and it goes first again: it is an outcome.
    assert [await around.verdicts(job) for job in jobs] == [["applied"], ["waiting"], ["waiting"]]
    order = applying_in_order(around, monkeypatch)
    assert await inbox.run_once() == 2
    assert order == [jobs[2].id, jobs[1].id]
    assert [(await around.verdicts(job))[0] for job in jobs] == ["applied", "applied", "claimed"]


async def test_what_fails_in_our_own_code_is_offered_again_too(
    around: Surroundings, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await around.taken("up-1")
    await receive(around, job, RUNNING)
    failing_once(around, monkeypatch, job, lambda: ZeroDivisionError("a mistake"))

    with pytest.raises(ZeroDivisionError):
        await inbox.run_once()

    assert await inbox.run_once() == 1
    assert await around.verdicts(job) == ["applied"]
