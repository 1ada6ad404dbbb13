"""`Idempotency`, and `Jobs.create` with a key."""

import pytest

from store.errors import KeyInUse, KeyReused
from store.idempotency import IdempotencyKey, Replay, StoredResponse
from store.job_reads import JobFilter
from store.records.jobs import Job
from store.records.times import Millis
from store.records.transitions import Transition
from tests.store.world import NOW, SECOND, World, completed, new

PATH = "/v1/jobs"
ANSWER = StoredResponse(202, {"Location": "/v1/jobs/x"}, b'{"request_id":"x"}')
EXPIRY = NOW + 7 * 86_400 * SECOND


def key(fingerprint: str = "f", name: str = "k", path: str = PATH) -> IdempotencyKey:
    return IdempotencyKey(path, name, fingerprint, NOW, NOW + 30 * SECOND, EXPIRY)


async def create(
    world: World,
    job: Job,
    given: IdempotencyKey | None = None,
    answer: StoredResponse | None = None,
) -> Job | Replay:
    return await world.store.jobs.create(new(job), given or key(), answer)


async def find(world: World, fingerprint: str = "f", now: Millis = NOW) -> Replay | None:
    given = key(fingerprint)._replace(sent_at=now)
    return await world.store.idempotency.find(world.ann.id, given)


async def test_a_key_leads_to_its_job_and_first_answer_and_outlives_the_job(world: World) -> None:
    job = world.job()
    assert await create(world, job) == job
    await world.store.idempotency.store_response(job.id, ANSWER)

    assert await create(world, world.job()) == Replay(job.id, ANSWER)
    assert await find(world) == Replay(job.id, ANSWER)
    assert await world.store.jobs.list_page(world.ann.id, JobFilter(), None, 9) == ([job], None)
    await world.advance(job, completed())
    assert await world.remove_finished() == 1
    assert await find(world) == Replay(job.id, ANSWER)


async def test_an_answer_that_is_known_at_once_holds_nothing_and_stays(world: World) -> None:
    job = world.job()
    await create(world, job, answer=ANSWER)

    assert await create(world, world.job()) == Replay(job.id, ANSWER)
    await world.store.idempotency.store_response(job.id, StoredResponse(500, {}, b""))
    assert await find(world) == Replay(job.id, ANSWER)


@pytest.mark.parametrize("ended", ["answered", "all released"])
async def test_a_key_is_in_use_until_its_first_answer(world: World, ended: str) -> None:
    job = world.job()
    await create(world, job)

    with pytest.raises(KeyInUse):
        await create(world, world.job())
    with pytest.raises(KeyInUse):
        await find(world, now=NOW + 30 * SECOND - 1)
    assert await find(world, now=NOW + 30 * SECOND) == Replay(job.id, None)
    keys = world.store.idempotency
    await (keys.store_response(job.id, None) if ended == "answered" else world.store.end_leases())
    assert await find(world) == Replay(job.id, None)


@pytest.mark.parametrize("answer", [None, ANSWER])
async def test_another_body_is_refused(world: World, answer: StoredResponse | None) -> None:
    await create(world, world.job(), answer=answer)

    with pytest.raises(KeyReused):
        await create(world, world.job(), key("g"))
    with pytest.raises(KeyReused):
        await find(world, "g")


async def test_keys_belong_to_one_user_and_path(world: World) -> None:
    await create(world, world.job(), answer=ANSWER)

    for job, given in (
        (world.job(world.bob), key("g")),
        (world.job(), key("g", path="/v1/video/create_movie")),
        (world.job(), key("g", name="other")),
    ):
        assert await create(world, job, given) == job


async def test_an_expired_key_counts_as_absent(world: World) -> None:
    first = world.job()
    await create(world, first, answer=ANSWER)
    late = world.job(at=EXPIRY)

    assert await find(world, now=EXPIRY - 1) == Replay(first.id, ANSWER)
    assert await find(world, "g", now=EXPIRY) is None
    given = IdempotencyKey(PATH, "k", "g", EXPIRY, EXPIRY + 1, EXPIRY + 9)
    assert await create(world, late, given) == late
    assert await find(world, "g", now=EXPIRY + 2) == Replay(late.id, None)


async def test_a_change_can_free_its_jobs_key(world: World) -> None:
    job = world.job()
    await create(world, job, answer=ANSWER)
    await create(world, world.job(), key(name="other"), ANSWER)

    await world.store.jobs.advance(
        job.id, lambda now: Transition(now, releases_idempotency_key=True)
    )

    assert await find(world) is None
    with pytest.raises(KeyReused):
        await create(world, world.job(), key("g", name="other"))


async def test_expired_keys_are_removed_some_at_a_time(world: World) -> None:
    for number in range(3):
        await create(world, world.job(), key(name=str(number)))
    await create(world, world.job(), IdempotencyKey(PATH, "k", "f", NOW, NOW, EXPIRY + 1))

    assert await world.store.idempotency.remove_expired(EXPIRY - 1, 9) == 0
    assert await world.store.idempotency.remove_expired(EXPIRY, 2) == 2
    assert await world.store.idempotency.remove_expired(EXPIRY, 2) == 1
    assert await find(world, now=EXPIRY) is not None
