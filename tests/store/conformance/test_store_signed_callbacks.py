"""`Callbacks.receive`: callbacks with a valid signature."""

import pytest

from store.callbacks import Receipt
from store.changes import Changes
from store.records.callbacks import Verdict
from store.records.jobs import Job
from tests.store.applying import give_verdict
from tests.store.world import World, accepted, waiting


@pytest.fixture
async def job(world: World) -> Job:
    return await world.advance(await world.create(), accepted(provider_request_id="up-1"))


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


def _inbox(notified: list[Changes]) -> dict[str, bool]:
    return {job_id: final for changes in notified for job_id, final in changes.inbox.items()}


async def test_a_signed_conflict_is_a_conflict(world: World, job: Job) -> None:
    for verified in (False, True):
        assert await world.receive(job, b"{}", "up-2", verified=verified) == Receipt.CONFLICT
    assert await recorded(world, job) == [("conflict", True)]
