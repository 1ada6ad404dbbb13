"""What a user's jobs store, counted, and how much that may be."""

from dataclasses import replace

import pytest

from store.errors import StorageFull
from store.job_writer import LARGE_INPUT
from store.records.jobs import Job
from store.records.transitions import Decide, NewJob, Transition
from store.rows import to_json
from tests.store.world import World, completed, event_data, failed, rendering

SMALL = to_json({"prompt": "a cat"})
LARGE = to_json({"prompt": "x" * LARGE_INPUT})
WHOLE = {"output": "x" * 70_000}


def size_of(*values: object) -> int:
    """The size as JSON; a text is JSON already."""
    return sum(len(each if isinstance(each, str) else to_json(each)) for each in values)


async def create(world: World, given: str, most: int | None = None) -> Job:
    job = world.job()
    new = NewJob(job, given, event_data(job))
    made = await world.store.jobs.create(new, user_storage=most)
    assert isinstance(made, Job)
    return made


async def assert_stored(world: World, stored: int) -> int:
    """Check that the user has stored so much: a limit is exceeded by one more input, or is not.
    Returns the new sum, with that input."""
    with_one_more = stored + size_of(SMALL)
    with pytest.raises(StorageFull):
        await create(world, SMALL, with_one_more - 1)
    await create(world, SMALL, with_one_more)
    return with_one_more


def dropping(decide: Decide) -> Decide:
    def decide_to_drop(job: Job) -> Transition:
        transition = decide(job)
        assert transition is not None
        return replace(transition, drops_large_input=True)

    return decide_to_drop


async def test_inputs_and_results_are_counted_until_their_job_is_removed(world: World) -> None:
    small, large = await create(world, SMALL), await create(world, LARGE)
    stored = await assert_stored(world, size_of(SMALL, LARGE))

    await world.advance(small, rendering(), completed())
    result = (await world.find(small)).result
    stored = await assert_stored(world, stored + size_of(result))
    await world.advance(large, lambda job: replace(_done(job), whole_result=WHOLE))
    stored = await assert_stored(world, stored + size_of(WHOLE))

    assert await world.remove_finished() == 2
    await assert_stored(world, stored - size_of(SMALL, LARGE, result, WHOLE))


async def test_a_large_input_is_dropped_and_a_small_one_kept(world: World) -> None:
    small, large = await create(world, SMALL), await create(world, LARGE)
    for job in (small, large):
        await world.advance(job, dropping(failed()))
    assert await world.store.jobs.input_of(small.id) == SMALL
    assert await world.store.jobs.input_of(large.id) is None
    await assert_stored(world, size_of(SMALL))


async def test_a_refused_job_leaves_nothing_and_concerns_its_user_alone(world: World) -> None:
    with pytest.raises(StorageFull):
        await create(world, LARGE, size_of(LARGE) - 1)
    await assert_stored(world, 0)
    job = world.job(world.bob)
    await world.store.jobs.create(NewJob(job, SMALL, event_data(job)), user_storage=size_of(SMALL))


def _done(job: Job) -> Transition:
    transition = completed()(job)
    assert transition is not None
    return transition
