"""New jobs are handed to the submitter in memory; the store is asked only for leftovers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from receiver.actions import submission_queue
from receiver.actions.submission_queue import SubmissionQueue
from receiver.actions.submit_job import Submission, new_job, submit_job
from receiver.clock import SystemClock
from receiver.workers import submitter
from store.database import Store
from store.holds import Hold, ProviderHolds, Refusal
from store.ids import Ids
from store.open import open_store
from store.records.jobs import Job
from store.records.moves import NewJob
from store.records.times import Due, Lane
from store.submissions import Backlog
from tests.domain.jobs import new_job as any_job
from tests.http_api.scripted_provider import ScriptedProvider, never, scripted_provider
from tests.store.world import NOW, SECOND, add_key, event_data
from tests.support.service import JOB, MOVIE, eventually, job_when, running_service, submit


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with scripted_provider() as provider:
        yield provider


def counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts the calls of the store that a submission could need."""
    calls: Counter[str] = Counter()

    def count(part: Any, name: str) -> None:
        method = getattr(part, name)

        def counting(*given: Any, **named: Any) -> Any:
            if given[:1] != (Lane.POLL,) and given[:1] != (Lane.CONFIRM,):
                calls[name] += 1
            return method(*given, **named)

        monkeypatch.setattr(part, name, counting)

    for name in ("due", "lease", "holds", "change_holds"):
        count(store.submissions, name)
    for name in ("create", "advance", "input_of", "trace_context_of", "release"):
        count(store.jobs, name)
    return calls


async def test_a_submission_costs_three_writes_and_no_read(
    tmp_path: Path, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitter, "SAFETY_SECONDS", 3600.0)
    async with running_service(tmp_path, **provider.settings()) as service:
        client = await service.user()
        await job_when(client, (await submit(client))["request_id"], phase="accepted")
        calls = counted(service.store, monkeypatch)

        for _ in range(5):
            job = await submit(client)
            await job_when(client, job["request_id"], phase="accepted")

        del calls["input_of"]  # made by the test's client, which reads the job
        assert calls == {"create": 5, "advance": 10}


async def test_jobs_that_cannot_be_handed_over_are_found_in_the_store(
    tmp_path: Path, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission_queue, "MOST_HANDED_OVER_OF_ONE", 0)
    async with running_service(tmp_path, **provider.settings()) as service:
        client = await service.user()
        jobs = [await submit(client) for _ in range(50)]
        for job in jobs:
            await job_when(client, job["request_id"], phase="accepted")
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
        assert not (await store.submissions.due(now)).backlogs

        await service.inner.stopped()

        assert [backlog.provider for backlog in (await store.submissions.due(now)).backlogs] == [
            "samsar"
        ]
    assert len(provider.submissions) == 1


async def test_a_job_is_submitted_although_its_client_disconnects(
    tmp_path: Path, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_service(tmp_path, **provider.settings()) as service:
        client = await service.user()
        services = service.inner.context.services
        user = await service.store.keys.user_named("ada")
        assert user is not None
        submission = Submission("samsar", JOB["kind"], MOVIE, None, (), {})
        new = new_job(services, user.id, user.name, submission)
        writing = asyncio.create_task(submit_job(services, new))
        await asyncio.sleep(0)  # the write is enqueued
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        await provider.submitted(1)
        await job_when(client, new.job.id, phase="accepted")


async def test_a_job_cancelled_while_it_waits_is_not_sent(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    gate = asyncio.Event()

    async def answer(_: object) -> Any:
        await gate.wait()
        return provider.accept()

    provider.submit = answer
    settings = provider.settings() | {"submit_concurrency": 1}
    async with running_service(tmp_path, **settings) as service:
        client = await service.user()
        await submit(client)
        canceled, kept = await submit(client), await submit(client)
        await provider.submitted(1)
        assert (await client.post(canceled["links"]["cancel"])).status_code == 202
        gate.set()
        await job_when(client, kept["request_id"], phase="accepted")
    assert len(provider.submissions) == 2


# --- the queue itself -----------------------------------------------------------------------------


def queue(slots: int = 4) -> SubmissionQueue:
    return SubmissionQueue("me", slots, SystemClock(), lambda: None)


def job_of(user_id: int, number: int = 0) -> Job:
    return replace(any_job(), id=f"job_{user_id}_{number}", user_id=user_id)


def hand_over(to: SubmissionQueue, job: Job) -> bool:
    lease = to.lease(job)
    if lease is None:
        return False
    to.offer(NewJob(job, {}, b""), lease)
    return True


def test_handed_over_jobs_are_bounded_per_user_and_in_total() -> None:
    waiting = queue()
    taken = [hand_over(waiting, job_of(1, number)) for number in range(100)]
    assert taken.count(True) == submission_queue.MOST_HANDED_OVER_OF_ONE
    taken += [hand_over(waiting, job_of(user, n)) for user in range(2, 12) for n in range(50)]
    assert taken.count(True) == submission_queue.MOST_HANDED_OVER
    # A lease whose job is still being written counts too, until it is declined.
    fresh = queue()
    leases = [fresh.lease(job_of(1)) for _ in range(submission_queue.MOST_HANDED_OVER_OF_ONE + 1)]
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
    assert waiting.wanted([Backlog("samsar", 1), other], NOW) == {other: 8}


def test_after_a_hold_one_job_is_sent_and_not_the_refused_one() -> None:
    waiting = queue()
    refusal = Refusal("job_1_0", 1, "u1", 429)
    waiting.holds = {"samsar": ProviderHolds(Hold(NOW, SECOND, (refusal,)))}
    backlogs = [Backlog("samsar", user_id) for user_id in (1, 2)]
    wanted = waiting.wanted(backlogs[:1], NOW)
    assert wanted == {backlogs[0]: 2}
    jobs = [job_of(1, 0), job_of(1, 1)]
    assert waiting.add(jobs, wanted, waiting.new_lease()) == ["job_1_0"]
    # It waits here, and no second probe is leased.
    assert waiting.wanted(backlogs, NOW) == {}
    assert queue().wanted(backlogs, NOW) != {}


def test_leases_from_the_store_are_bounded_and_shared_by_all_users() -> None:
    waiting = queue(32)
    wanted = waiting.wanted([Backlog("samsar", user) for user in range(100)], NOW)
    assert len(wanted) == 100
    assert set(wanted.values()) <= set(range(1, 17))
    assert sum(wanted.values()) <= submission_queue.MOST_WAITING
    many = waiting.wanted([Backlog("samsar", user) for user in range(1_000)], NOW)
    assert sum(many.values()) == submission_queue.MOST_WAITING
    assert Backlog("samsar", 0) in many


def test_an_empty_backlog_says_nothing_of_the_users_backlog_at_another_provider() -> None:
    waiting = queue()
    here, other = Backlog("samsar", 1), Backlog("other", 1)
    wanted = waiting.wanted([here, other], NOW)
    jobs = [replace(job_of(1, number), provider="other") for number in range(wanted[other])]
    assert waiting.add([job_of(1, 99), *jobs], wanted, waiting.new_lease()) == []

    assert waiting.lease(replace(job_of(1), provider="other")) is None, "older jobs go first"
    assert waiting.lease(job_of(1)) is not None


async def _leave_behind(folder: Path, jobs: dict[str, int]) -> None:
    """Create queued jobs of these users."""
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
            writes.append(store.jobs.create(NewJob(job, MOVIE | {"prompt": name}, event_data(job))))
    try:
        await asyncio.gather(*writes)
    finally:
        await store.close()


async def test_users_with_a_backlog_take_turns(tmp_path: Path, provider: ScriptedProvider) -> None:
    """A dead process left a long queue of one user, and one job of another."""
    await _leave_behind(tmp_path, {"mallory": 1_500, "bob": 1})

    async with running_service(tmp_path, **provider.settings()):

        async def whose() -> list[str]:
            return [each.body["input"]["prompt"] for each in provider.submissions]

        seen = await eventually(whose, lambda seen: "bob" in seen, "bob's job")
        assert seen.index("bob") < 64
