"""New jobs are handed to the submitter in memory; the store is asked only for leftovers."""

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from receiver import assembly
from receiver.clock import SystemClock
from receiver.domain import holds as rules
from receiver.domain.schedule import SECOND
from receiver.engine import submission_leases, submission_queue, submitter
from receiver.engine.submit_job import Submission, new_job, submit_job
from store.errors import OutcomeUnknown
from store.ids import Ids
from store.open import open_store
from store.records.holds import Refusal
from store.records.jobs import Job, Phase
from store.records.moves import NewJob
from store.records.times import Due, Lane
from tests.domain.jobs import new_job as any_job
from tests.engine.harness import CallRecorder, Harness
from tests.http_api.scripted_provider import ScriptedProvider, never
from tests.store.world import add_key, event_data
from tests.support.service import (
    JOB,
    MOVIE,
    RunningService,
    eventually,
    running_service,
    submit,
    wait_for_job,
)


async def test_a_submission_costs_two_writes_and_no_read(
    tmp_path: Path, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission_leases, "MAX_IDLE_SECONDS", 3600.0)
    # The first check, after a second, always finds a change.
    monkeypatch.setattr(assembly, "STORE_CHECK_SECONDS", 3600.0)
    async with running_service(tmp_path, **provider.settings()) as service:
        client = await service.user()
        await wait_for_job(client, (await submit(client))["request_id"], phase="accepted")
        # Each read of the store's queue reads the holds too.
        looks = CallRecorder(service.store.holds, "read", "change")
        names = ("create", "advance", "input_of", "release")
        jobs = CallRecorder(service.store.jobs, *names)

        for _ in range(5):
            job = await submit(client)
            await wait_for_job(client, job["request_id"], phase="accepted")

        calls = Counter(jobs.take())
        del calls["input_of"]  # called by the test's client, which reads the job
        assert (calls, looks.take()) == ({"create": 5, "advance": 5}, [])


async def test_jobs_that_cannot_be_handed_over_are_found_in_the_store(
    tmp_path: Path, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission_queue, "MAX_HANDED_OVER_PER_USER", 0)
    async with running_service(tmp_path, **provider.settings()) as service:
        client = await service.user()
        jobs = [await submit(client) for _ in range(50)]
        for job in jobs:
            await wait_for_job(client, job["request_id"], phase="accepted")
    assert len(provider.submissions) == 50


async def test_stopping_releases_jobs_that_were_not_started(
    tmp_path: Path, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitter, "SUBMISSION_DRAIN_SECONDS", 0.1)
    provider.submit = never
    settings = provider.settings() | {"submit_concurrency": 1}
    async with running_service(tmp_path, **settings) as service:
        client = await service.user()
        for _ in range(5):
            await submit(client)
        await provider.submitted(1)
        store, now = service.store, service.inner.context.services.clock.now()
        assert not (await store.backlogs.due(Lane.SUBMIT, now)).backlogs

        await service.inner.stop()

        due = await store.backlogs.due(Lane.SUBMIT, now)
        assert [backlog.provider for backlog in due.backlogs] == ["samsar"]
    assert len(provider.submissions) == 1


async def test_a_job_is_submitted_although_its_client_disconnects(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    async with running_service(tmp_path, **provider.settings()) as service:
        client, new = await service.user(), await _new_job(service)
        writing = asyncio.create_task(submit_job(service.inner.context.services, new))
        await asyncio.sleep(0)  # the write is enqueued
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        await provider.submitted(1)
        await wait_for_job(client, new.job.id, phase="accepted")


async def test_a_job_that_is_created_while_the_service_stops_stays_queued(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    async with running_service(tmp_path, **provider.settings()) as service:
        client = await service.user()
        # From then on the holds are known, and the second submission begins with its job.
        await wait_for_job(client, (await submit(client))["request_id"], phase="accepted")
        new = await _new_job(service)
        creating = asyncio.create_task(submit_job(service.inner.context.services, new))
        await asyncio.sleep(0)  # the write is enqueued

        await service.inner.stop()

        await creating
        job = await service.store.jobs.find(new.job.id)
        assert job is not None
        assert (job.phase, job.attempts) == (Phase.QUEUED, 1)
    assert len(provider.submissions) == 1


async def test_a_job_whose_creation_may_have_failed_is_submitted_once(
    tmp_path: Path, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitter, "STORE_RETRY_SECONDS", 0.0)
    async with running_service(tmp_path, **provider.settings()) as service:
        client, new = await service.user(), await _new_job(service)
        create = service.store.jobs.create

        async def stored_without_an_answer(*given: Any) -> None:
            await create(*given)
            raise OutcomeUnknown("the disk failed during a commit")

        monkeypatch.setattr(service.store.jobs, "create", stored_without_an_answer)
        with pytest.raises(OutcomeUnknown):
            await submit_job(service.inner.context.services, new)
        await wait_for_job(client, new.job.id, phase="accepted")
    assert len(provider.submissions) == 1


async def test_a_job_cancelled_while_it_waits_is_not_sent(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    gate = provider.hold_submissions()
    settings = provider.settings() | {"submit_concurrency": 1}
    async with running_service(tmp_path, **settings) as service:
        client = await service.user()
        await submit(client)
        canceled, kept = await submit(client), await submit(client)
        await provider.submitted(1)
        assert (await client.post(canceled["links"]["cancel"])).status_code == 202
        gate.set()
        await wait_for_job(client, kept["request_id"], phase="accepted")
    assert len(provider.submissions) == 2


async def test_a_submission_that_begins_too_late_is_not_sent(harness: Harness) -> None:
    """The process was suspended between the creation of the job and the call."""
    services, clock = harness.services, harness.clock
    worker = submitter.Submitter(services, harness.hub, lambda job: f"https://here/{job.id}")
    await worker.leases.run_once()
    user = harness.world.ann
    submission = Submission("samsar", JOB["kind"], MOVIE, None, (), {})
    made = await submit_job(services, new_job(services, user.id, user.name, submission))
    assert isinstance(made, Job)
    assert made.phase is Phase.SUBMITTING

    clock.advance(services.rules.submit_lease / 1_000)
    assert await worker.run_once() == 1
    await worker._task_pool.drain()

    job = await harness.find(made)
    assert (job.phase, job.attempts) == (Phase.QUEUED, 1)


async def test_a_leased_job_to_which_a_hold_applies_stays_due_and_is_not_sent(
    harness: Harness,
) -> None:
    """Another process has sent its probe first."""
    worker, job = await _leased_as_a_probe(harness)
    user, clock = harness.world.ann, harness.clock
    probe = await harness.store.holds.change(
        "samsar", lambda h: rules.send_probe(h, user.id, "job_2", clock.now())
    )
    assert rules.held_until(probe, user.id, clock.now())

    assert await worker.run_once() == 1
    await worker._task_pool.drain()
    assert await harness.find(job) == job
    clock.advance(1)
    await worker.leases.run_once()
    assert await worker.run_once() == 0

    assert await harness.lease("another", Lane.SUBMIT) == [job.id]


async def test_a_leased_job_is_sent_if_its_hold_has_ended_meanwhile(harness: Harness) -> None:
    """The probe of another process was answered."""
    worker, job = await _leased_as_a_probe(harness)
    await harness.store.holds.change("samsar", lambda _: rules.NO_HOLDS)

    assert await worker.run_once() == 1
    await worker._task_pool.drain()
    assert (await harness.find(job)).attempts == 1


async def _leased_as_a_probe(harness: Harness) -> tuple[submitter.Submitter, Job]:
    """A worker with a job that it has leased as the probe of a hold."""
    holds, clock, user = harness.store.holds, harness.clock, harness.world.ann
    worker = submitter.Submitter(harness.services, harness.hub, lambda _: "https://here")
    job = await harness.world.create()
    refusal = Refusal("job_1", user.id, user.name, 429)
    await holds.change("samsar", lambda h: rules.refused(h, refusal, SECOND, clock.now()))
    clock.advance(2)
    await worker.leases.run_once()
    return worker, job


async def _new_job(service: RunningService) -> NewJob:
    """A job to be created, of the user of `service.user()`."""
    await service.user()
    user = await service.store.keys.user_named("ada")
    assert user is not None
    submission = Submission("samsar", JOB["kind"], MOVIE, None, (), {})
    return new_job(service.inner.context.services, user.id, user.name, submission)


async def _leave_behind(folder: Path, jobs: dict[str, int]) -> None:
    """Create queued jobs of these users, as a dead process would leave them."""
    store = await open_store(f"sqlite:///{folder / 'receiver.db'}")
    ids = Ids(Random(7).randbytes)
    writes = []
    for name, count in jobs.items():
        user = await add_key(store, name)
        for _ in range(count):
            now = SystemClock().now()
            due = Due(Lane.SUBMIT, now)
            job_id = ids.new("job", now)
            job = replace(any_job(), id=job_id, user_id=user.id, user=name, created_at=now, due=due)
            writes.append(
                store.jobs.create(NewJob(job, MOVIE | {"prompt": name}, (event_data(job),)))
            )
    try:
        await asyncio.gather(*writes)
    finally:
        await store.close()


async def test_users_with_a_backlog_take_turns(tmp_path: Path, provider: ScriptedProvider) -> None:
    """A dead process left one user with a long backlog, and another with one job."""
    await _leave_behind(tmp_path, {"mallory": 900, "bob": 1})

    async with running_service(tmp_path, **provider.settings()):

        async def whose() -> list[str]:
            return [each.body["input"]["prompt"] for each in provider.submissions]

        seen = await eventually(whose, lambda seen: "bob" in seen, "bob's job")
        assert seen.index("bob") < 64
