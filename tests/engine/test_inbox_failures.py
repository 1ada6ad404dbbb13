"""Callbacks that cannot be applied block no others."""

from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from receiver.engine import inbox as inbox_module
from receiver.engine.inbox import LEFTOVER_SECONDS, Inbox
from store.errors import StoreUnavailable
from store.records.jobs import Job, Status
from tests.engine.harness import COMPLETED, RUNNING, Harness, receive, record_applied_jobs
from tests.store.world import bodies


def fail_once(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, job: Job, error: Callable[[], Exception]
) -> None:
    """Make the next application of this job's callbacks fail."""
    apply = harness.store.callbacks.apply
    failed: list[str] = []

    async def fail(job_id: str, *rest: Any, **named: Any) -> Any:
        if job_id == job.id and not failed:
            failed.append(job_id)
            raise error()
        return await apply(job_id, *rest, **named)

    monkeypatch.setattr(harness.store.callbacks, "apply", fail)


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
        harness.clock.advance(LEFTOVER_SECONDS)
        while await inbox.run_once():
            harness.clock.advance(LEFTOVER_SECONDS)

    assert await harness.verdicts(job) == ["applied"] * 3 + ["failed", "applied"]
    assert (await harness.find(job)).progress == 50
    assert (await harness.find(job)).status is Status.IN_PROGRESS
    assert await harness.verdicts(other) == ["applied"]
    failures = [log for log in logs if log["event"] == "a callback could not be applied"]
    assert [(log["job"], log["tries"]) for log in failures] == [
        (job.id, tries) for tries in (1, 2, 3)
    ]
    assert {type(log["exc_info"]) for log in failures} == {ZeroDivisionError}
    # It is polled because of the failed callback.
    found = await harness.find(job)
    assert found.due is not None


async def test_two_bad_callbacks_each_have_three_tries(harness: Harness, inbox: Inbox) -> None:
    job = await harness.accepted_job("up-1")
    for body in (b'{"poison":1}', RUNNING, b'{"poison":2}'):
        await receive(harness, job, body)

    with capture_logs() as logs:
        for _ in range(20):
            await inbox.run_once()
            harness.clock.advance(LEFTOVER_SECONDS)

    assert await harness.verdicts(job) == ["failed", "applied", "failed"]
    tries = [log["tries"] for log in logs if log["event"] == "a callback could not be applied"]
    assert tries == [1, 2, 3, 1, 2, 3]


async def test_after_a_store_failure_callbacks_are_offered_again(
    harness: Harness, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "JOBS_PER_BATCH", 2)
    jobs = [await harness.accepted_job(f"up-{number}") for number in range(3)]
    await inbox.run_once()
    for job in jobs[:2]:
        await receive(harness, job, RUNNING)
    await receive(harness, jobs[2], COMPLETED)
    fail_once(harness, monkeypatch, jobs[2], lambda: StoreUnavailable("the disk is away"))

    with pytest.raises(StoreUnavailable):
        await inbox.run_once()

    # The batch's other job is applied; then the outcome goes first again.
    assert [await harness.verdicts(job) for job in jobs] == [["applied"], ["waiting"], ["waiting"]]
    order = record_applied_jobs(harness, monkeypatch)
    assert await inbox.run_once() == 2
    assert order == [jobs[2].id, jobs[1].id]
    assert [(await harness.verdicts(job))[0] for job in jobs] == ["applied", "applied", "claimed"]


async def test_after_a_fault_of_ours_callbacks_are_offered_again(
    harness: Harness, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await harness.accepted_job("up-1")
    await receive(harness, job, RUNNING)
    fail_once(harness, monkeypatch, job, lambda: ZeroDivisionError("a mistake"))

    with pytest.raises(ZeroDivisionError):
        await inbox.run_once()

    assert await inbox.run_once() == 1
    assert await harness.verdicts(job) == ["applied"]
