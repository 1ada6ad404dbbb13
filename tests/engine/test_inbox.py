"""The inbox: the order of callbacks, and leftovers of dead processes."""

import asyncio
from typing import Any

import pytest

from receiver.engine import inbox as inbox_module
from receiver.engine.inbox import LEFTOVER_SECONDS, Inbox
from receiver.engine.poller import POLL_LEASE
from store.records.jobs import Job
from store.records.times import Lane
from tests.engine.harness import (
    COMPLETED,
    RUNNING,
    CallRecorder,
    Harness,
    receive,
    record_applied_jobs,
)
from tests.store.world import SECOND, bodies

# --- order ----------------------------------------------------------------------------------------


async def test_callbacks_of_this_process_are_applied_without_a_query(
    harness: Harness, inbox: Inbox
) -> None:
    job = await harness.accepted_job("up-1")
    store = CallRecorder(harness.store.callbacks, "jobs_waiting")
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

    found = await harness.find(job)
    assert (found.progress, found.seq) == (89, job.seq + 1)
    assert set(await harness.verdicts(job)) == {"applied"}


async def test_callbacks_over_the_limit_of_a_change_are_applied_next(
    harness: Harness, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "CALLBACKS_PER_BATCH", 4)
    job = await harness.accepted_job("up-1")
    for body in bodies(10):
        await receive(harness, job, body)

    assert [await inbox.run_once() for _ in range(4)] == [1, 1, 1, 0]
    assert (await harness.find(job)).progress == 9


async def test_outcomes_go_before_the_progress_of_other_jobs(
    harness: Harness, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "JOBS_PER_BATCH", 3)
    jobs = [await harness.accepted_job(f"up-{number}") for number in range(6)]
    order = record_applied_jobs(harness, monkeypatch)
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
    monkeypatch.setattr(inbox_module, "JOBS_PER_BATCH", 2)
    jobs = [await harness.accepted_job(f"up-{number}") for number in range(4)]
    order = record_applied_jobs(harness, monkeypatch)
    await inbox.run_once()
    await receive(harness, jobs[0], RUNNING)
    for job in jobs[1:]:
        await receive(harness, job, COMPLETED)

    while await inbox.run_once():
        pass

    assert order == [job.id for job in (*jobs[1:], jobs[0])]


async def test_an_outcome_does_not_wait_for_the_progress_under_way(
    harness: Harness, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, ended = await harness.accepted_job("up-1"), await harness.accepted_job("up-2")
    await inbox.run_once()
    await receive(harness, running, RUNNING)
    apply, end = harness.store.callbacks.apply, asyncio.Event()

    async def held(job_id: str, *rest: Any, **named: Any) -> Any:
        if job_id == running.id:
            await end.wait()
        return await apply(job_id, *rest, **named)

    monkeypatch.setattr(harness.store.callbacks, "apply", held)
    progress = asyncio.create_task(inbox.run_once())
    await receive(harness, ended, COMPLETED)
    await inbox.stop()  # waits for the tasks that have begun

    assert [await harness.verdicts(job) for job in (running, ended)] == [["waiting"], ["claimed"]]
    end.set()
    assert await progress == 1


async def test_a_claim_is_handed_over_with_a_lease(
    harness: Harness, inbox: Inbox, claims: list[Job]
) -> None:
    job = await harness.accepted_job("up-1")
    await receive(harness, job, COMPLETED)

    await inbox.run_once()

    (claimed,) = claims
    assert (claimed.id, claimed.due and claimed.due.lane) == (job.id, Lane.CONFIRM)
    assert await harness.lease("another", Lane.CONFIRM) == []
    harness.clock.advance(POLL_LEASE / SECOND)
    assert await harness.lease("another", Lane.CONFIRM) == [job.id]


async def test_only_claims_are_handed_over(
    harness: Harness, inbox: Inbox, claims: list[Job]
) -> None:
    job, finished = await harness.accepted_job("up-1"), await harness.accepted_job("up-2")
    await receive(harness, job, RUNNING)
    await receive(harness, finished, COMPLETED)
    await inbox.run_once()
    claims.clear()
    inbox.offer(finished.id, final=True)  # its callbacks no longer wait

    await inbox.run_once()

    assert claims == []


async def test_the_id_of_another_job_is_a_conflict_and_other_callbacks_count(
    harness: Harness, inbox: Inbox
) -> None:
    job = await harness.accepted_job("up-1", provider_request_id=None)
    await receive(harness, job, b'{"status":"IN_PROGRESS","progress":10}')
    await receive(harness, job, b'{"status":"IN_PROGRESS","progress":20,"request_id":"up-2"}')
    await harness.accepted_job("up-2")  # after the callback was stored

    await inbox.run_once()

    assert await harness.verdicts(job) == ["applied", "conflict"]
    found = await harness.find(job)
    assert (found.progress, found.provider_request_id) == (10, None)


# --- leftovers ------------------------------------------------------------------------------------


async def test_leftover_callbacks_are_found_at_start(harness: Harness, claims: list[Job]) -> None:
    job = await harness.accepted_job("up-1")
    await receive(harness, job, RUNNING)
    inbox = Inbox(harness.services, harness.hub, claims.append)

    assert await inbox.run_once() == 1
    assert await harness.verdicts(job) == ["applied"]


async def test_callbacks_of_another_process_are_found_within_a_second(
    harness: Harness, inbox: Inbox
) -> None:
    await inbox.run_once()
    job = await harness.accepted_job("up-1")
    harness.store.on_commit = lambda _: None  # as if another process stored it
    await receive(harness, job, RUNNING)
    store = CallRecorder(harness.store.callbacks, "jobs_waiting")

    harness.clock.advance(LEFTOVER_SECONDS * 0.9)
    assert [await inbox.run_once() for _ in range(3)] == [0, 0, 0]
    assert store.take() == []

    harness.clock.advance(LEFTOVER_SECONDS * 0.1)
    assert [await inbox.run_once() for _ in range(3)] == [1, 0, 0]
    assert store.take() == ["jobs_waiting"]


async def test_jobs_over_the_limit_are_found_later(
    harness: Harness, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "MAX_JOBS_OFFERED", 2)
    jobs = [await harness.accepted_job(f"up-{number}") for number in range(3)]
    await inbox.run_once()
    for job in jobs:
        await receive(harness, job, RUNNING)

    assert [await inbox.run_once() for _ in range(2)] == [2, 0]
    harness.clock.advance(LEFTOVER_SECONDS)
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

    await asyncio.wait_for(idling, LEFTOVER_SECONDS / 2)
