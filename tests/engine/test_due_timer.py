"""`DueTimer`: the store is asked for due jobs only when there can be some."""

import asyncio

import pytest

from receiver.engine.deadlines import Deadlines
from receiver.engine.poller import Poller
from receiver.engine.worker import DueTimer, Worker
from store.changes import CommitNotice
from store.errors import StoreUnavailable
from store.records.jobs import Phase
from store.records.times import Due, Lane, Millis
from tests.engine.harness import LEASE, CallRecorder, Harness
from tests.store.world import NOW, SECOND, change

LONG = 60.0
TIMEOUT = 10.0


@pytest.fixture
async def timer(harness: Harness) -> DueTimer:
    """A timer whose first pass, which is due at once, is over."""
    timer = DueTimer(harness.services, harness.hub, Lane.POLL, Lane.CONFIRM)
    for lane in (Lane.POLL, Lane.CONFIRM):
        assert timer.is_due(lane)
        async with timer.leased(lane, LEASE, 1) as jobs:
            assert jobs == []
    return timer


def due(lane: Lane, at: Millis) -> CommitNotice:
    return CommitNotice(due={lane: at})


def test_the_earliest_time_counts(harness: Harness, timer: DueTimer) -> None:
    def is_due(lane: Lane, at: Millis) -> bool:
        harness.clock.passed = at - NOW
        return timer.is_due(lane)

    assert not is_due(Lane.POLL, 2**50)
    harness.hub.announce(due(Lane.POLL, NOW + 5))
    harness.hub.announce(due(Lane.POLL, NOW + 9))
    harness.hub.announce(due(Lane.SUBMIT, NOW))  # another worker's lane
    assert not is_due(Lane.POLL, NOW + 4)
    assert is_due(Lane.POLL, NOW + 5)
    timer.schedule_pass(Lane.POLL, NOW + 3)
    timer.schedule_pass(Lane.POLL, None)
    assert is_due(Lane.POLL, NOW + 3)
    assert not is_due(Lane.CONFIRM, 2**50)


async def test_a_commit_during_a_pass_is_remembered(harness: Harness, timer: DueTimer) -> None:
    timer.schedule_pass(Lane.POLL, NOW)
    async with timer.leased(Lane.POLL, LEASE, 1):
        assert not timer.is_due(Lane.POLL)
        harness.hub.announce(due(Lane.POLL, NOW))
    assert timer.is_due(Lane.POLL)


@pytest.mark.parametrize("sooner", ["a commit", "a notification of all", "other work"])
async def test_a_wait_ends_when_there_may_be_something_sooner(
    harness: Harness, timer: DueTimer, sooner: str
) -> None:
    timer.schedule_pass(Lane.POLL, NOW + 60 * SECOND)
    await timer.wait(0.001)
    waiting = asyncio.create_task(timer.wait(LONG))
    await asyncio.sleep(0)
    harness.hub.announce(due(Lane.POLL, NOW + 90 * SECOND))  # not sooner
    await asyncio.sleep(0)
    assert not waiting.done()

    if sooner == "a commit":
        harness.hub.announce(due(Lane.CONFIRM, NOW))
    elif sooner == "a notification of all":
        harness.hub.notify_all()
    else:
        timer.wake.notify()
    await asyncio.wait_for(waiting, TIMEOUT)
    assert timer.is_due(Lane.POLL) == (sooner == "a notification of all")


async def test_a_wait_ends_when_a_pass_is_due_or_its_time_is_over(timer: DueTimer) -> None:
    await asyncio.wait_for(timer.wait(0.001), TIMEOUT)
    timer.schedule_pass(Lane.POLL, NOW + 1)
    await timer.wait(0.001)  # `schedule_pass` has woken it
    await asyncio.wait_for(timer.wait(LONG), TIMEOUT)


# --- the workers that have one --------------------------------------------------------------------


def workers(harness: Harness) -> dict[str, tuple[Worker, Lane]]:
    return {
        "poller": (harness.poller(), Lane.POLL),
        "confirmer": (harness.poller(), Lane.CONFIRM),
        "deadlines": (Deadlines(harness.services, harness.hub), Lane.WAIT),
    }


QUERIES = ("due", "lease")
NAMES = ("poller", "confirmer", "deadlines")


async def later(harness: Harness, lane: Lane, seconds: float) -> None:
    """A job that becomes due in the lane after this many seconds."""
    at = harness.clock.now() + round(seconds * SECOND)
    job = await harness.world.create()
    await harness.world.advance(
        job, change(phase=Phase.ACCEPTED, accepted_at=NOW, due=Due(lane, at))
    )


@pytest.mark.parametrize("name", NAMES)
async def test_the_store_is_not_asked_while_nothing_is_due(harness: Harness, name: str) -> None:
    store = CallRecorder(harness.store.backlogs, *QUERIES)
    worker, lane = workers(harness)[name]
    assert await worker.run_once() == 0
    assert set(store.take()) == {"due"}  # the first pass looks for leftovers

    for _ in range(3):
        await later(harness, lane, 5.0)
        assert await worker.run_once() == 0
    harness.clock.advance(4.9)
    assert await worker.run_once() == 0
    assert store.take() == []

    harness.clock.advance(0.1)
    assert await worker.run_once() == 3
    assert store.take() == ["due", "lease"]
    if isinstance(worker, Poller):
        await worker._task_pool.drain()


@pytest.mark.parametrize("name", NAMES)
async def test_a_notification_of_all_is_one_pass(harness: Harness, name: str) -> None:
    worker, _ = workers(harness)[name]
    await worker.run_once()
    harness.hub.notify_all()
    store = CallRecorder(harness.store.backlogs, "due")

    await worker.run_once()
    await worker.run_once()

    assert len(store.take()) == 2  # one for each of its two lanes


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("name", NAMES)
async def test_a_pass_that_fails_is_made_again(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, name: str, query: str
) -> None:
    worker, lane = workers(harness)[name]
    await worker.run_once()
    await later(harness, lane, 1.0)
    harness.clock.advance(1.0)

    async def fail(*_: object) -> None:
        raise StoreUnavailable("the disk is away")

    with monkeypatch.context() as context:
        context.setattr(harness.store.backlogs, query, fail)
        with pytest.raises(StoreUnavailable):
            await worker.run_once()

    store = CallRecorder(harness.store.backlogs, *QUERIES)
    await worker.run_once()
    assert set(store.take()) == set(QUERIES)
    if isinstance(worker, Poller):
        await worker._task_pool.drain()
