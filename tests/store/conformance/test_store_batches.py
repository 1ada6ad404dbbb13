"""Changes of several jobs that share a batch: each has the same result as alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from store.callbacks import Receipt
from store.errors import NotApplied, NotFound, ProviderIdTaken
from store.job_writer import GROUP_BYTES, JOB_BYTES, Applied
from store.records.callbacks import Callback
from store.records.jobs import Job, Phase, Status
from store.records.moves import Move
from store.records.times import Due, Lane
from tests.store.applying import applying, applying_call, failing_decide, in_one_batch, verdicts
from tests.store.world import NOW, World, change, message, waiting


async def test_a_member_that_fails_in_a_batch_fails_alone(world: World) -> None:
    made = [await world.create() for _ in range(5)]
    for job in made:
        await world.receive(job)
    first, failing, last, beside, unwritable = made

    def decide_and_fail(_: Job) -> Move:
        raise ZeroDivisionError

    def with_relay(job: Job, callbacks: Sequence[Callback]) -> Move:
        move = applying()(job, callbacks)
        assert move is not None
        return replace(move, relay=message(move.job))  # the job has no webhook URL, so this fails

    batch = await in_one_batch(
        world,
        applying_call(world, first, applying(progress=10.0)),
        applying_call(world, failing, failing_decide),
        applying_call(world, world.job(), applying()),
        applying_call(world, unwritable, with_relay),
        applying_call(world, last, applying(progress=30.0)),
        lambda: world.receive(world.job()),
        lambda: world.store.jobs.advance(beside.id, decide_and_fail),
        lambda: world.receive(beside, b'{"n":2}'),
    )

    assert [type(each) for each in batch] == [
        *(Applied, NotApplied, NotFound, AssertionError, Applied),
        *(NotFound, ZeroDivisionError, Receipt),
    ]
    assert [batch[index].job.progress for index in (0, 4)] == [10.0, 30.0]
    assert [await verdicts(world, job) for job in made] == [
        *(["applied"], ["waiting"], ["applied"]),
        *(["waiting", "waiting"], ["waiting"]),
    ]
    assert [(await world.find(job)).seq for job in made] == [2, 1, 2, 1, 1]
    assert len(await world.store.events.after_for_user(world.ann.id, 0, 99)) == 5 + 2


async def test_changes_of_one_job_in_a_batch_follow_each_other(world: World) -> None:
    job = await world.create()
    await world.receive(job)

    await in_one_batch(
        world,
        lambda: world.store.jobs.advance(job.id, change(progress=5.0)),
        applying_call(world, job, applying(message="called back")),
        lambda: world.store.jobs.advance(job.id, change(attempts=3)),
    )

    found = await world.find(job)
    assert (found.seq, found.progress, found.message, found.attempts) == (4, 5.0, "called back", 3)
    events = await world.store.events.after_for_job(job.id, 0, 9)
    assert len(events) == 4


async def test_many_jobs_with_the_same_changed_columns_are_written(world: World) -> None:
    made = [await world.create() for _ in range(70)]
    for job in made:
        await world.receive(job)

    def fields(number: int) -> dict[str, Any]:
        return {
            "status": Status.IN_PROGRESS,
            "phase": Phase.RENDERING,
            "progress": number / 2,
            "message": None if number % 3 else f"at {number}\u2028'\"",
            "provider_request_id": f"up-{number}",
            "id_from_answer": bool(number % 2),
            "accepted_at": NOW + number,
            "attempts": number,
            "maybe_sent": number % 5 == 0,
            "refused_with": number if number % 2 else None,
            "due": Due(Lane.POLL, NOW + number) if number % 4 else None,
        }

    batch = await in_one_batch(
        world,
        *(
            applying_call(world, job, applying(**fields(number)))
            for number, job in enumerate(made, start=1)
        ),
    )

    for number, (job, applied) in enumerate(zip(made, batch, strict=True), start=1):
        expected = replace(job, seq=2, updated_at=NOW + 1, **fields(number))
        assert applied.job == replace(expected, callbacks_waiting=True)
        assert await world.store.jobs.find(job.id) == expected
    assert await waiting(world.store) == []


# --- ids of the provider --------------------------------------------------------------------------


async def test_of_two_jobs_in_a_batch_one_gets_the_id(world: World) -> None:
    first, second, elsewhere, third = [
        await world.create(),
        await world.create(),
        await world.create(provider="other"),
        await world.create(),
    ]
    for job in (first, second, elsewhere, third):
        await world.receive(job)

    batch = await in_one_batch(
        world,
        applying_call(world, first, applying(provider_request_id="up-1")),
        applying_call(world, second, applying(provider_request_id="up-1")),
        applying_call(world, elsewhere, applying(provider_request_id="up-1")),
        applying_call(world, third, applying(provider_request_id="up-2")),
    )

    assert isinstance(batch[1], ProviderIdTaken)
    assert batch[1].provider_request_id == "up-1"
    assert [batch[index].job.provider_request_id for index in (0, 2, 3)] == ["up-1", "up-1", "up-2"]
    assert await verdicts(world, second) == ["waiting"]


async def test_a_batch_has_a_size_limit_and_the_last_jobs_come_later(world: World) -> None:
    fitting = GROUP_BYTES // JOB_BYTES
    made = [await world.create() for _ in range(fitting + 2)]
    for job in made:
        await world.receive(job, b"x" * JOB_BYTES)
        await world.receive(job, b"{}")
    seen: list[list[bytes]] = []

    batch = await in_one_batch(world, *(applying_call(world, job, applying(seen)) for job in made))

    assert [each.move is not None for each in batch] == [True] * fitting + [False] * 2
    assert [each.has_more for each in batch] == [True] * (fitting + 2)
    assert len(seen) == fitting
    rest = await in_one_batch(world, *(applying_call(world, job, applying()) for job in made))
    assert [each.has_more for each in rest] == [False] * fitting + [True] * 2


async def test_an_outcome_has_room_in_a_batch_before_older_progress(world: World) -> None:
    running, ended = await world.create(), await world.create()
    await world.receive(running, b"x" * GROUP_BYTES)
    await world.receive(ended)

    batch = await in_one_batch(
        world,
        lambda: world.store.callbacks.apply(running.id, applying(), most=100, final=False),
        applying_call(world, ended, applying()),
    )

    assert [each.has_more for each in batch] == [False, False]
