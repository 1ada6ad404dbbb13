"""`Callbacks`: each is stored and applied in one transaction."""

from dataclasses import replace

import pytest

from store.callbacks import Receipt
from store.errors import NotFound
from store.records.callbacks import Verdict
from store.records.jobs import Job
from store.records.times import Due, Lane
from tests.store.applying import applying
from tests.store.world import NOW, SECOND, World, accepted, bodies, lease_due

POLL_AT = NOW + 30 * SECOND


@pytest.fixture
async def job(world: World) -> Job:
    """A job that the provider knows as up-1, with a poll that is due later."""
    return await world.advance(await world.create(), accepted(provider_request_id="up-1"))


async def poll_due(world: World, job: Job) -> int:
    found = await world.find(job)
    assert found.due is not None
    assert found.due.lane is Lane.POLL
    return found.due.at


async def recorded(world: World, job: Job) -> list[tuple[str, bool]]:
    history = await world.store.jobs.history_of(job.id)
    return [(x.detail["verdict"], x.detail["verified"]) for x in history if x.type == "callback"]


async def test_a_callback_is_stored_and_applied_in_one_transaction(world: World, job: Job) -> None:
    world.notified.clear()
    claimed = applying(Verdict.CLAIMED, progress=7.0, due=Due(Lane.CONFIRM, NOW + 5))

    assert await world.receive(job, b'{"a":1}', "up-1", claimed, at=NOW + 3) == Receipt.ACCEPTED

    (changes,) = world.notified
    assert (changes.jobs, changes.users) == ({job.id}, {world.ann.id})
    assert changes.due == {Lane.CONFIRM: NOW + 5}
    found = await world.find(job)
    assert (found.progress, found.seq) == (7.0, job.seq + 1)
    history = await world.store.jobs.history_of(job.id)
    ((at, detail),) = [(line.at, line.detail) for line in history if line.type == "callback"]
    assert (at, detail["verdict"], detail["bytes"]) == (NOW + 3, "claimed", 7)
    leased = await lease_due(world.store, Lane.CONFIRM, NOW + 5, NOW + SECOND, "me", 9)
    assert [each.id for each in leased] == [job.id]


async def test_the_same_bytes_are_a_duplicate_and_change_nothing(world: World, job: Job) -> None:
    await world.receive(job, b'{"a":1}')

    duplicate = applying(progress=50.0)
    assert await world.receive(job, b'{"a":1}', use=duplicate) == Receipt.DUPLICATE
    assert await world.receive(job, b'{"a":1}', use=Verdict.FAILED) == Receipt.DUPLICATE
    assert await world.find(job) == job
    assert await world.receive(job, b'{"a": 1}') == Receipt.ACCEPTED
    other = await world.create()
    assert await world.receive(other, b'{"a":1}') == Receipt.ACCEPTED
    assert await recorded(world, job) == [("applied", False)] * 2


@pytest.mark.parametrize(
    ("provider_request_id", "use", "receipt", "again"),
    [
        (None, Verdict.REJECTED, Receipt.REJECTED, Receipt.REJECTED),
        ("up-2", None, Receipt.CONFLICT, Receipt.CONFLICT),
        ("up-2", Verdict.FAILED, Receipt.CONFLICT, Receipt.CONFLICT),
        ("up-1", Verdict.FAILED, Receipt.FAILED, Receipt.DUPLICATE),
    ],
)
async def test_a_callback_that_cannot_be_applied_is_recorded_once_and_polls(
    world: World,
    job: Job,
    provider_request_id: str | None,
    use: Verdict | None,
    receipt: Receipt,
    again: Receipt,
) -> None:
    assert await world.receive(job, b"no", provider_request_id, use, at=NOW + 1) == receipt

    assert await poll_due(world, job) == NOW + 1
    assert await recorded(world, job) == [(receipt.value, False)]

    await world.advance(job, accepted(provider_request_id="up-1", poll_at=POLL_AT))
    for verified in (False, True):
        given = (provider_request_id, use)
        assert await world.receive(job, b"no", *given, verified=verified) == again
        assert await recorded(world, job) == [(receipt.value, verified)]
    assert await poll_due(world, job) == POLL_AT


async def test_an_id_of_another_job_is_a_conflict_even_if_it_came_before(
    world: World, job: Job
) -> None:
    other = await world.create()
    assert await world.receive(other, b'{"id":1}', "up-1") == Receipt.CONFLICT
    assert await world.receive(other, b'{"id":3}', "up-3") == Receipt.ACCEPTED
    await world.advance(other, accepted(provider_request_id="up-2"))
    assert await world.receive(other, b'{"id":3}', "up-3") == Receipt.CONFLICT

    elsewhere = await world.create(provider="other")
    assert await world.receive(elsewhere, b'{"id":1}', "up-1") == Receipt.ACCEPTED


async def test_two_hundred_callbacks_are_stored_per_job(world: World, job: Job) -> None:
    for body in bodies(200):
        assert await world.receive(job, body) == Receipt.ACCEPTED

    assert await world.receive(job, b"1", use=applying(progress=9.0), at=NOW + 1) == "duplicate"
    assert await poll_due(world, job) == NOW + 1
    assert (await world.find(job)).progress is None
    assert await world.receive(job, b"2", "up-2") == Receipt.CONFLICT
    assert await world.receive(job, b"no", use=Verdict.REJECTED) == Receipt.REJECTED
    assert await world.receive(job, bodies(1)[0]) == Receipt.DUPLICATE
    assert len(await recorded(world, job)) == 200


async def test_an_unknown_job_is_not_found(world: World, job: Job) -> None:
    for unknown in (world.job(), world.job(provider="other"), replace(job, provider="other")):
        for use in (None, Verdict.REJECTED):
            with pytest.raises(NotFound):
                await world.receive(unknown, b"no", use=use)
        assert not await world.store.callbacks.exists(unknown.provider, unknown.id)
    assert await world.store.callbacks.exists("samsar", job.id)


# --- with a valid signature -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "then"),
    [
        *((each, "applied") for each in (Verdict.CLAIMED, Verdict.DENIED, Verdict.LATE)),
        *((each, each.value) for each in (Verdict.APPLIED, Verdict.CONFIRMED, Verdict.FAILED)),
    ],
)
async def test_a_signed_duplicate_makes_the_stored_callback_verified(
    world: World, job: Job, verdict: Verdict, then: str
) -> None:
    use = verdict if verdict is Verdict.FAILED else applying(verdict)
    await world.receive(job, b"{}", "up-1", use)
    signed = applying(progress=50.0)

    for verified in (True, True, False):
        receipt = await world.receive(job, b"{}", "up-1", signed, verified=verified)
        assert receipt == Receipt.DUPLICATE
        assert await recorded(world, job) == [(then, True)]
        is_applied_again = verdict.value not in (then, "failed")
        assert (await world.find(job)).seq == job.seq + is_applied_again
