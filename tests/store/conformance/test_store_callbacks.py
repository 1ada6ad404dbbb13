"""`Callbacks`: the inbox."""

from dataclasses import replace
from functools import partial

import pytest

from store.callbacks import Receipt
from store.changes import CommitNotice
from store.errors import NotFound
from store.records.callbacks import Verdict
from store.records.jobs import Job
from store.records.times import Lane
from tests.store.applying import give_verdict, verdicts
from tests.store.world import NOW, SECOND, World, accepted, bodies, waiting

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


async def test_a_good_callback_waits_in_the_inbox(world: World, job: Job) -> None:
    world.notified.clear()

    assert await world.receive(job, b'{"a":1}', "up-1", at=NOW + 3) == Receipt.ACCEPTED

    assert [changes.inbox for changes in world.notified] == [{job.id: False}]
    (callback,) = await waiting(world.store)
    assert (callback.job_id, callback.provider) == (job.id, "samsar")
    assert (callback.received_at, callback.body, callback.tries) == (NOW + 3, b'{"a":1}', 0)
    # The job's own row does not change.
    assert await world.store.jobs.find(job.id) == replace(job, callbacks_waiting=True)


async def test_the_same_bytes_are_a_duplicate(world: World, job: Job) -> None:
    await world.receive(job, b'{"a":1}')

    assert await world.receive(job, b'{"a":1}') == Receipt.DUPLICATE
    assert await world.receive(job, b'{"a": 1}') == Receipt.ACCEPTED
    other = await world.create()
    assert await world.receive(other, b'{"a":1}') == Receipt.ACCEPTED

    assert len(await waiting(world.store)) == 3
    assert await poll_due(world, job) == POLL_AT


@pytest.mark.parametrize(
    ("body", "provider_request_id", "readable", "receipt"),
    [(b"no", None, False, Receipt.REJECTED), (b'{"id":2}', "up-2", True, Receipt.CONFLICT)],
)
async def test_a_bad_callback_is_recorded_once_and_polls(
    world: World,
    job: Job,
    body: bytes,
    provider_request_id: str | None,
    readable: bool,
    receipt: Receipt,
) -> None:
    receive = partial(world.receive, job, body, provider_request_id, readable=readable)
    assert await receive(at=NOW + 1) == receipt

    assert await poll_due(world, job) == NOW + 1
    assert await verdicts(world, job) == [receipt.value]
    assert await waiting(world.store) == []
    assert await world.store.callbacks.jobs_waiting(10) == []

    await world.advance(job, accepted(provider_request_id="up-1", poll_at=POLL_AT))
    assert await receive() == receipt
    assert await verdicts(world, job) == [receipt.value]
    assert await poll_due(world, job) == POLL_AT


async def test_an_id_that_another_job_holds_is_a_conflict(world: World, job: Job) -> None:
    other = await world.create()

    assert await world.receive(other, b'{"id":1}', "up-1") == Receipt.CONFLICT
    assert await world.receive(other, b'{"id":3}', "up-3") == Receipt.ACCEPTED
    elsewhere = await world.create(provider="other")
    assert await world.receive(elsewhere, b'{"id":1}', "up-1") == Receipt.ACCEPTED


async def test_a_conflict_goes_before_a_duplicate(world: World) -> None:
    job = await world.create()
    await world.receive(job, b'{"id":2}', "up-2")
    await world.advance(job, accepted(provider_request_id="up-1"))

    assert await world.receive(job, b'{"id":2}', "up-2") == Receipt.CONFLICT


async def test_two_hundred_callbacks_are_stored_per_job(world: World, job: Job) -> None:
    for body in bodies(200):
        assert await world.receive(job, body) == Receipt.ACCEPTED

    assert await world.receive(job, b'{"one":"more"}', at=NOW + 1) == Receipt.SURPLUS
    assert await poll_due(world, job) == NOW + 1
    assert await world.receive(job, b'{"id":2}', "up-2") == Receipt.SURPLUS
    assert await world.receive(job, b"no", readable=False) == Receipt.SURPLUS
    assert await world.receive(job, bodies(1)[0]) == Receipt.DUPLICATE
    assert len(await verdicts(world, job)) == 200


async def test_an_unknown_job_is_not_found(world: World, job: Job) -> None:
    for unknown in (world.job(), world.job(provider="other"), replace(job, provider="other")):
        with pytest.raises(NotFound):
            await world.receive(unknown)
        with pytest.raises(NotFound):
            await world.receive(unknown, b"no", readable=False)
        assert not await world.store.callbacks.exists(unknown.provider, unknown.id)
    assert await world.store.callbacks.exists("samsar", job.id)


async def test_changes_say_whether_a_stored_callback_reports_an_outcome(world: World) -> None:
    job, other = await world.create(), await world.create()
    world.notified.clear()

    await world.receive(job, b'{"n":1}')
    await world.receive(job, b'{"n":2}', final=True)
    await world.receive(job, b'{"n":3}')
    await world.receive(other, b'{"n":1}')
    await world.receive(other, b'{"n":1}', final=True)  # a duplicate
    await world.receive(other, b"no", readable=False, final=True)

    all_changes = CommitNotice()
    for changes in world.notified:
        all_changes.add(changes)
    assert all_changes.inbox == {job.id: True, other.id: False}


async def test_jobs_wait_in_the_order_of_their_oldest_callbacks(world: World) -> None:
    made = [await world.create() for _ in range(3)]
    for number, body in enumerate(bodies(6)):
        await world.receive(made[number % 3 - 1], body)

    assert [callback.body for callback in await waiting(world.store)] == bodies(6)
    in_order = [made[2].id, made[0].id, made[1].id]
    assert await world.store.callbacks.jobs_waiting(10) == in_order
    assert await world.store.callbacks.jobs_waiting(5) == in_order
    assert await world.store.callbacks.jobs_waiting(2) == in_order[:2]


async def test_a_callback_is_abandoned_after_three_failures(world: World, job: Job) -> None:
    await world.receive(job)
    (callback,) = await waiting(world.store)

    assert await world.store.callbacks.count_failure(callback.id, NOW + 1) == 1
    assert await world.store.callbacks.count_failure(callback.id, NOW + 2) == 2
    assert await poll_due(world, job) == POLL_AT
    assert [waits.tries for waits in await waiting(world.store)] == [2]
    assert await world.store.callbacks.count_failure(callback.id, NOW + 3) == 3

    assert await waiting(world.store) == []
    assert await verdicts(world, job) == ["failed"]
    assert await poll_due(world, job) == NOW + 3


async def test_the_backlog_says_how_many_and_since_when(world: World, job: Job) -> None:
    assert await world.store.callbacks.backlog() == (0, None)

    await world.receive(job, b"{}", at=NOW + 5)
    await world.receive(job, b"no", at=NOW + 6, readable=False)
    await world.receive(job, b"{ }", at=NOW + 7)

    assert await world.store.callbacks.backlog() == (2, NOW + 5)


# --- with a valid signature -----------------------------------------------------------------------


async def receive(world: World, job: Job, body: bytes, *, verified: bool) -> str:
    return await world.receive(job, body, "up-1", final=True, verified=verified)


async def recorded(world: World, job: Job) -> list[tuple[str, bool]]:
    history = await world.store.jobs.history_of(job.id)
    return [(x.detail["verdict"], x.detail["verified"]) for x in history if x.type == "callback"]


async def test_a_callback_is_stored_as_verified_or_not(world: World, job: Job) -> None:
    await receive(world, job, b"1", verified=False)
    await receive(world, job, b"2", verified=True)

    assert [callback.verified for callback in await waiting(world.store)] == [False, True]
    assert await recorded(world, job) == [("waiting", False), ("waiting", True)]


@pytest.mark.parametrize(
    ("verdict", "then"),
    [
        (Verdict.CLAIMED, "waiting"),
        (Verdict.DENIED, "waiting"),
        (Verdict.LATE, "waiting"),
        (Verdict.APPLIED, "applied"),
        (Verdict.CONFIRMED, "confirmed"),
    ],
)
async def test_a_signed_duplicate_makes_the_stored_callback_verified(
    world: World, job: Job, verdict: Verdict, then: str
) -> None:
    await receive(world, job, b"{}", verified=False)
    await give_verdict(world, job, verdict)
    world.notified.clear()

    assert await receive(world, job, b"{}", verified=True) == Receipt.DUPLICATE

    assert await recorded(world, job) == [(then, True)]
    again = {job.id: True} if then == "waiting" else {}
    assert _inbox(world.notified) == again
    assert await receive(world, job, b"{}", verified=False) == Receipt.DUPLICATE
    assert await recorded(world, job) == [(then, True)]


def _inbox(notified: list[CommitNotice]) -> dict[str, bool]:
    return {job_id: final for changes in notified for job_id, final in changes.inbox.items()}


async def test_a_signed_conflict_is_a_conflict(world: World, job: Job) -> None:
    for verified in (False, True):
        assert await world.receive(job, b"{}", "up-2", verified=verified) == Receipt.CONFLICT
    assert await recorded(world, job) == [("conflict", True)]
