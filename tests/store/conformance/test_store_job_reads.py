"""Finding jobs, counting them, and their history."""

from store.records.callbacks import CallbackVerdict, Verdict
from store.records.events import Note
from store.records.jobs import Evidence, Job, Phase
from store.records.transitions import Transition
from tests.store.world import (
    HOOK,
    NOW,
    World,
    accepted,
    attempt,
    completed,
    quietly,
    rendering,
)


async def test_jobs_are_found_by_their_ids(world: World) -> None:
    job = await world.advance(await world.create(), accepted(provider_request_id="up-1"))
    theirs = await world.create(world.bob)
    jobs = world.store.jobs

    assert [await jobs.find(each.id) for each in (job, theirs)] == [job, theirs]
    assert await jobs.find_by_provider_id("samsar", "up-1") == job
    assert await jobs.find_by_provider_id("sandbox", "up-1") is None
    assert await jobs.find_by_provider_id("samsar", "up-2") is None


async def test_jobs_in_a_phase_are_listed_oldest_first(world: World) -> None:
    first, second, third = [await world.create(at=NOW + number) for number in range(3)]
    await world.advance(second, quietly(phase=Phase.SUBMITTING))
    other = await world.create(provider="fal")
    jobs = world.store.jobs

    assert await jobs.in_phase(Phase.QUEUED, 10) == [other.id, first.id, third.id]
    assert await jobs.in_phase(Phase.QUEUED, 2) == [other.id, first.id]
    assert await jobs.in_phase(Phase.SUBMITTING, 10) == [second.id]
    assert await jobs.overdue("samsar", NOW + 2, 10) == [first.id, third.id]
    assert await jobs.overdue("samsar", NOW + 1, 10) == [first.id]
    assert await jobs.overdue("samsar", NOW + 2, 1) == [first.id]


async def test_an_input_is_given_for_sending_only_while_its_submission_is_under_way(
    world: World,
) -> None:
    job = await world.create()
    given = [await world.store.jobs.input_to_send(job.id)]
    # A replica whose clock is ahead may have ended the lease.
    outdated = quietly(phase=Phase.SUBMIT_UNCONFIRMED, unconfirmed_at=NOW)
    for decide in (quietly(phase=Phase.SUBMITTING), outdated, completed()):
        await world.advance(job, decide)
        given.append(await world.store.jobs.input_to_send(job.id))
    assert given == [None, *['{"prompt":"a cat"}'] * 2, None]


async def test_the_backlog_counts_unfinished_jobs(world: World) -> None:
    assert await world.store.jobs.newest() is None
    assert await world.store.jobs.backlog() == []
    await world.advance(await world.create(), completed())
    await world.advance(await world.create(at=NOW + 1), rendering())
    await world.create(world.bob, at=NOW + 3)
    await world.create(at=NOW + 4, provider="fal")
    await world.create(at=NOW + 5)

    assert set(await world.store.jobs.backlog()) == {
        (Phase.QUEUED, "samsar", 2, NOW + 3),
        (Phase.QUEUED, "fal", 1, NOW + 4),
        (Phase.RENDERING, "samsar", 1, NOW + 1),
    }
    assert await world.store.jobs.newest() == NOW + 5


async def test_the_history_has_everything_oldest_first(world: World) -> None:
    job = await world.create(webhook_url=HOOK)

    def rule(callback_id: int, job: Job) -> Transition:
        ruling = CallbackVerdict(callback_id, Verdict.CONFIRMED, False, Evidence.DEADLINE)
        return Transition(job, verdicts=(ruling,))

    await world.receive(job, b'{"status":"COMPLETED"}', use=rule, at=NOW + 2)
    await world.advance(job, rendering(NOW + 2, relay=True))
    (delivery,) = await world.lease(at=NOW + 3)
    await world.settle(delivery, delivery.state, NOW + 9, made=attempt(NOW + 3))
    note = Note("poll", {"failed": "timeout"}, NOW + 5)
    await world.advance(job, lambda now: Transition(now, notes=(note,)))
    await world.receive(await world.create(world.bob))

    history = await world.store.jobs.history_of(job.id)

    assert [(line.at - NOW, line.type) for line in history] == [
        (0, "event"),
        (2, "callback"),
        (2, "event"),
        (3, "relay"),
        (5, "poll"),
    ]
    created, called_back, changed, relayed, polled = (dict(line.detail) for line in history)
    assert created["job"]["seq"] == 1
    assert changed["job"] == {"request_id": job.id, "seq": 2, "status": "IN_PROGRESS"}
    assert called_back == {
        "verdict": "confirmed",
        "evidence": "deadline",
        "confirmed": False,
        "verified": False,
        "bytes": 22,
        "body": '{"status":"COMPLETED"}',
    }
    assert relayed == {
        "delivery": delivery.id,
        "seq": 2,
        "status_code": 500,
        "error": None,
        "duration_ms": 12,
    }
    assert polled == {"failed": "timeout"}
