"""`DueTimer`, and that workers who have one leave the store alone while nothing is due."""

import asyncio
from dataclasses import replace

import pytest

from receiver.actions.status_calls import StatusCalls
from receiver.streams.hub import Hub
from receiver.workers.deadlines import Deadlines
from receiver.workers.poller import Poller
from receiver.workers.worker import DueTimer, Worker
from store.contract import Changes
from store.errors import StoreUnavailable
from store.records import Due, Lane, Phase
from tests.store.world import NOW, SECOND, change
from tests.workers.surroundings import HOLDER, Counted, Surroundings

LONG = 60.0
TIMEOUT = 10.0


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def timer(hub: Hub) -> DueTimer:
    """One whose first pass is over."""
    timer = DueTimer(hub, Lane.POLL, Lane.CONFIRM)
    with timer.passing(Lane.POLL), timer.passing(Lane.CONFIRM):
        return timer


def due(lane: Lane, at: int) -> Changes:
    return Changes(due={lane: at})


def test_the_first_pass_is_at_once(hub: Hub) -> None:
    assert DueTimer(hub, Lane.WAIT).is_due(Lane.WAIT, NOW)


def test_the_earliest_moment_counts(hub: Hub, timer: DueTimer) -> None:
    assert not timer.is_due(Lane.POLL, 2**62)
    hub.announce(due(Lane.POLL, NOW + 5))
    hub.announce(due(Lane.POLL, NOW + 9))
    hub.announce(due(Lane.SUBMIT, NOW))  # somebody else's
    assert not timer.is_due(Lane.POLL, NOW + 4)
    assert timer.is_due(Lane.POLL, NOW + 5)
    timer.look_at(Lane.POLL, NOW + 3)
    timer.look_at(Lane.POLL, None)
    assert timer.is_due(Lane.POLL, NOW + 3)
    assert not timer.is_due(Lane.CONFIRM, 2**62)


def test_a_pass_forgets_and_what_comes_during_it_is_kept(hub: Hub, timer: DueTimer) -> None:
    timer.look_at(Lane.POLL, NOW)
    with timer.passing(Lane.POLL):
        assert not timer.is_due(Lane.POLL, NOW)
        hub.announce(due(Lane.POLL, NOW + 1))
        timer.look_at(Lane.POLL, NOW + 7)  # what the pass has found out
    assert timer.is_due(Lane.POLL, NOW + 1)


@pytest.mark.parametrize("hint", ["of everything", "of its lanes"])
def test_a_hint_that_names_no_moment_is_a_reason_to_look(
    hub: Hub, timer: DueTimer, hint: str
) -> None:
    if hint == "of everything":
        hub.notify_all()
    else:
        timer.look_now()
    assert timer.is_due(Lane.POLL, 0)
    assert timer.is_due(Lane.CONFIRM, 0)


@pytest.mark.parametrize("sooner", ["a commit", "a notification of all", "something else to do"])
async def test_a_wait_ends_when_there_may_be_something_sooner(
    hub: Hub, timer: DueTimer, sooner: str
) -> None:
    timer.look_at(Lane.POLL, NOW + 60 * SECOND)
    await timer.wait(NOW, 0.001)
    waiting = asyncio.create_task(timer.wait(NOW, LONG))
    await asyncio.sleep(0)
    hub.announce(due(Lane.POLL, NOW + 90 * SECOND))  # no sooner
    await asyncio.sleep(0)
    assert not waiting.done()

    if sooner == "a commit":
        hub.announce(due(Lane.CONFIRM, NOW))
    elif sooner == "a notification of all":
        hub.notify_all()
    else:
        timer.wake()
    await asyncio.wait_for(waiting, TIMEOUT)


async def test_a_wait_ends_when_it_is_time(timer: DueTimer) -> None:
    timer.look_at(Lane.POLL, NOW + 1)
    await timer.wait(NOW, 0.001)
    await asyncio.wait_for(timer.wait(NOW, LONG), TIMEOUT)


async def test_a_wait_is_no_longer_than_its_most(timer: DueTimer) -> None:
    await asyncio.wait_for(timer.wait(NOW, 0.001), TIMEOUT)


# --- those who have one ---------------------------------------------------------------------------


def poller(around: Surroundings, rate: float = 1_000.0) -> Poller:
    calls = StatusCalls(around.clock, around.services.metrics, rate, at_once=1_000)
    return Poller(
        replace(around.services, status_calls=calls),
        around.hub,
        HOLDER,
        lambda job: f"https://here.example/{job.id}",
    )


def workers(around: Surroundings) -> dict[str, tuple[Worker, Lane]]:
    return {
        "poller": (poller(around), Lane.POLL),
        "confirmer": (poller(around), Lane.CONFIRM),
        "deadlines": (Deadlines(around.services, around.hub, HOLDER), Lane.WAIT),
    }


QUERIES = ("lease_due", "next_due")
NAMES = ("poller", "confirmer", "deadlines")


async def later(around: Surroundings, lane: Lane, seconds: float) -> None:
    """A job comes to be due in the lane, so many seconds from now."""
    at = around.clock.now() + round(seconds * SECOND)
    job = await around.world.create()
    await around.world.advance(
        job, change(phase=Phase.ACCEPTED, accepted_at=NOW, due=Due(lane, at))
    )


@pytest.mark.parametrize("name", NAMES)
async def test_the_store_is_not_asked_while_nothing_is_due(around: Surroundings, name: str) -> None:
    store = Counted(around.store.jobs, *QUERIES)
    worker, lane = workers(around)[name]
    assert await worker.run_once() == 0
    assert set(store.taken()) == set(QUERIES)  # what is left over from before

    for _ in range(3):
        await later(around, lane, 5.0)
        assert await worker.run_once() == 0
    around.clock.passed = 4.9
    assert await worker.run_once() == 0
    assert store.taken() == []

    around.clock.passed = 5.0
    assert await worker.run_once() == 3
    assert store.taken() == ["lease_due", "next_due"]
    if isinstance(worker, Poller):
        await worker.drain()


@pytest.mark.parametrize("name", NAMES)
async def test_a_ring_for_all_is_one_look(around: Surroundings, name: str) -> None:
    worker, _ = workers(around)[name]
    await worker.run_once()
    around.hub.notify_all()
    store = Counted(around.store.jobs, "lease_due")

    await worker.run_once()
    await worker.run_once()

    assert len(store.taken()) == 2  # one for each of its two lanes


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("name", NAMES)
async def test_a_pass_that_fails_is_made_again(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch, name: str, query: str
) -> None:
    worker, lane = workers(around)[name]
    await worker.run_once()
    await later(around, lane, 1.0)
    around.clock.passed = 1.0

    async def fail(*_: object) -> None:
        raise StoreUnavailable("the disk is away")

    with monkeypatch.context() as context:
        context.setattr(around.store.jobs, query, fail)
        with pytest.raises(StoreUnavailable):
            await worker.run_once()

    store = Counted(around.store.jobs, *QUERIES)
    await worker.run_once()
    assert set(store.taken()) == set(QUERIES)
    if isinstance(worker, Poller):
        await worker.drain()
