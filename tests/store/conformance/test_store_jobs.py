"""`Jobs.create` and `Jobs.advance`: a change is written completely or not at all."""

from dataclasses import replace
from typing import Any

import pytest

from store.deliveries import DeliveryFilter
from store.errors import ProviderIdTaken
from store.records.archive import ArchivedFile, FileState
from store.records.callbacks import CallbackVerdict, Verdict
from store.records.events import Note
from store.records.jobs import Claim, ErrorCode, Evidence, Job, JobError, Phase, Status, Tracking
from store.records.times import Due, Lane
from store.records.transitions import Decide, Transition
from tests.store.world import (
    HOOK,
    NOW,
    World,
    accepted,
    change,
    completed,
    event_data,
    failed,
    incoming_callback,
    lease_due,
    quietly,
    rendering,
)

EVERYTHING = Tracking(
    poll_gap=7_500,
    polls=3,
    misses=2,
    missed_since=0,
    claims=(
        Claim(4, NOW, Status.COMPLETED, "done", {"videoUrl": "https://x.example"}, "fine"),
        Claim(5, NOW, Status.FAILED, None, None, None),
    ),
    failing_since=NOW,
    link_missing=True,
)


async def test_a_created_job_is_stored_with_its_input_event_and_due_time(world: World) -> None:
    job = await world.create(metadata={"order": "7", "ünï": "☃"}, webhook_events=("COMPLETED",))

    assert await world.store.jobs.find(job.id) == job
    assert await world.store.jobs.input_of(job.id) == '{"prompt":"a cat"}'
    (event,) = await world.store.events.after_for_job(job.id, 0, 10)
    assert (event.job_id, event.at, event.data) == (job.id, NOW, event_data(job))
    assert await lease_due(world.store, Lane.SUBMIT, NOW, NOW + 1, "me", 10) == [job]
    (changes,) = world.notified[:1]
    assert (changes.jobs, changes.users) == ({job.id}, {world.ann.id})
    assert changes.due == {Lane.SUBMIT: NOW}


EVERY_FIELD: dict[str, Any] = {
    "status": Status.FAILED,
    "phase": Phase.FINISHED,
    "progress": 12.5,
    "provider_status": "ODD",
    "evidence": Evidence.POLL,
    "message": "It is\u2028over.",
    "error": JobError(ErrorCode.PROVIDER_FAILED, "It failed.", True),
    "provider_request_id": "up-1",
    "id_from_answer": True,
    "done_at": NOW + 4,
    "accepted_at": NOW + 1,
    "unconfirmed_at": NOW + 2,
    "attempts": 2,
    "maybe_sent": True,
    "refused_with": 402,
    "tracking": EVERYTHING,
    "provider_urls": {"status": "https://queue.example/status"},
    "cancel_wanted": True,
    "archive": (
        ArchivedFile("https://cdn.example/1.mp4", next_try_at=NOW),
        ArchivedFile(
            "https://cdn.example/2.mp4", FileState.STORED, None, 3, 2**40, "a/b", "0", "k"
        ),
        ArchivedFile("https://cdn.example/3.mp4", FileState.FAILED, tries=1, error="timeout"),
    ),
    "due": Due(Lane.CONFIRM, NOW + 9),
}


@pytest.mark.parametrize(
    "decide",
    [change(NOW + 4, **EVERY_FIELD), completed(NOW + 5), failed(NOW, ErrorCode.RESULT_MISSING)],
    ids=["every-field", "completed", "failed"],
)
async def test_every_field_of_a_job_is_read_as_it_was_written(world: World, decide: Decide) -> None:
    job = await world.create(
        label="a cat",
        metadata={"order": "7"},
        webhook_url=HOOK,
        webhook_events=("progress", "FAILED"),
    )
    expected = decide(job)
    assert expected is not None

    returned, transition = await world.store.jobs.advance(job.id, decide)

    assert transition == expected
    assert await world.store.jobs.find(job.id) == returned == expected.job


async def test_a_change_writes_the_whole_move(world: World) -> None:
    job = await world.create(webhook_url=HOOK)
    verdicts: list[CallbackVerdict] = []

    def claim(callback_id: int, before: Job) -> Transition:
        verdicts.append(CallbackVerdict(callback_id, Verdict.CLAIMED))
        return Transition(before, verdicts=(verdicts[0],))

    await world.store.callbacks.receive(incoming_callback(job.id, b"{}"), claim)
    (verdict,) = verdicts
    world.notified.clear()

    def decide(before: Job) -> Transition | None:
        move = rendering(NOW + 1, relay=True, due=Due(Lane.POLL, NOW + 9))(before)
        note = Note("poll", {"answer": "IN_PROGRESS"}, NOW + 2)
        denied = replace(verdict, verdict=Verdict.DENIED)
        return move and replace(move, verdicts=(denied,), notes=(note,))

    after, _ = await world.store.jobs.advance(job.id, decide)

    assert await world.store.jobs.find(job.id) == after
    assert [event.data for event in await world.store.events.after_for_job(job.id, 1, 9)] == [
        event_data(after)
    ]
    (delivery,), _ = await world.store.deliveries.list_page(DeliveryFilter(), None, 9)
    assert (delivery.job_id, delivery.seq, delivery.status) == (job.id, 2, Status.IN_PROGRESS)
    assert (delivery.url, delivery.body) == (HOOK, event_data(after))
    history = await world.store.jobs.history_of(job.id)
    assert [line.type for line in history] == ["event", "callback", "event", "poll"]
    assert history[1].detail["verdict"] == "denied"
    (changes,) = world.notified
    assert (changes.jobs, changes.users) == ({job.id}, {job.user_id})
    assert changes.due == {Lane.POLL: NOW + 9, Lane.DELIVER: delivery.created_at}
    assert changes.ended == []


async def test_the_end_of_a_job_is_announced_with_its_commit(world: World) -> None:
    job = await world.create()
    world.notified.clear()
    _, transition = await world.store.jobs.advance(
        job.id, lambda job: Transition(job, ends_job=True)
    )
    assert [notice.ended for notice in world.notified] == [[transition]]


IMPOSSIBLE: tuple[dict[str, Any], ...] = (
    {"phase": Phase.FINISHED},
    {"status": Status.FAILED},
    {"status": Status.COMPLETED, "phase": Phase.FINISHED, "done_at": NOW, "progress": 100},
    {"progress": 101},
    {"progress": 100},
    {"phase": Phase.ACCEPTED},
    {"phase": Phase.RENDERING, "accepted_at": NOW},
    {"phase": Phase.SUBMIT_UNCONFIRMED},
    {"done_at": NOW},
    {"provider_request_id": ""},
    {"provider_request_id": "x" * 201},
    {"seq": 0},
)


async def test_the_schema_refuses_impossible_rows(world: World) -> None:
    job = await world.create()

    for impossible in IMPOSSIBLE:
        with pytest.raises(Exception, match=r"(?i)check"):
            await world.store.jobs.advance(job.id, quietly(**impossible))
        assert await world.store.jobs.find(job.id) == job, impossible


async def test_a_providers_id_belongs_to_one_of_its_jobs(world: World) -> None:
    first, second = await world.create(), await world.create()
    elsewhere = await world.create(provider="other")
    await world.advance(first, accepted(provider_request_id="up-1"))

    with pytest.raises(ProviderIdTaken) as conflict:
        await world.advance(second, accepted(provider_request_id="up-1"))

    assert conflict.value.provider_request_id == "up-1"
    assert await world.store.jobs.find(second.id) == second
    assert (await world.advance(first, change())).provider_request_id == "up-1"
    await world.advance(second, accepted(provider_request_id="up-2"))
    await world.advance(elsewhere, accepted(provider_request_id="up-1"))
    assert (await world.find(elsewhere)).provider_request_id == "up-1"
