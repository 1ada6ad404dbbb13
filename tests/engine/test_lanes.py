"""The worker of a lane: slots, the time of the next look, errors, and the stop."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pytest

from receiver.engine.lanes import Handler, LaneTimer, LaneWorker
from receiver.streams.hub import Hub
from store.changes import CommitNotice
from store.errors import StoreUnavailable
from store.lanes import START, Bookmark, Found, Look
from store.records.times import Lane, Millis
from tests.support.manual_clock import ManualClock

NOW = 1_700_000_000_000


class Letter(NamedTuple):
    id: str


class Letters(Handler[Letter]):
    """Handles letters, which a test makes due; each is handled until the test lets it end."""

    name = "letters"
    drain_seconds = 0.01

    def __init__(self, clock: ManualClock, hub: Hub, slots: int) -> None:
        self.timer = LaneTimer(clock, hub, Lane.POLL)
        super().__init__(slots, [self.timer])
        self.due = ""
        self.next_at: Millis | None = None
        self.bookmark = START
        self.looks: list[Bookmark] = []
        self.error: Exception | None = None
        self.blocked: asyncio.Event | None = None
        self.ends: dict[str, asyncio.Future[None]] = {}

    async def take(self, free: int, running: Mapping[str, Letter]) -> Sequence[Letter]:
        return (await self.timer.look(self._look, free, lambda due: due)).taken

    async def _look(self, look: Look) -> Found[Letter]:
        self.looks.append(look.bookmark)
        if self.blocked is not None:
            await self.blocked.wait()
        if self.error is not None:
            raise self.error
        taken, self.due = self.due[: look.most], self.due[look.most :]
        return Found([*map(Letter, taken)], self.bookmark, bool(self.due), self.next_at)

    async def handle(self, work: Letter) -> None:
        self.ends[work.id] = asyncio.get_running_loop().create_future()
        await self.ends[work.id]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def letters(clock: ManualClock, hub: Hub) -> Letters:
    return Letters(clock, hub, slots=2)


@pytest.fixture
def worker(letters: Letters, clock: ManualClock) -> LaneWorker[Letter]:
    return LaneWorker(letters, clock)


async def end(letters: Letters, work: str, error: Exception | None = None) -> None:
    if error is None:
        letters.ends[work].set_result(None)
    else:
        letters.ends[work].set_exception(error)
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_no_more_is_taken_than_slots_are_free(
    letters: Letters, worker: LaneWorker[Letter]
) -> None:
    letters.due = "abc"
    assert [await worker.run_once(), await worker.run_once()] == [2, 0]
    assert [*letters.ends] == ["a", "b"]

    await end(letters, "a")
    assert [await worker.run_once(), await worker.run_once()] == [1, 0]
    assert [*letters.ends] == ["a", "b", "c"]

    await end(letters, "b")
    await end(letters, "c")
    await worker.run_once()
    looks = len(letters.looks)
    assert [await worker.run_once() for _ in range(3)] == [0, 0, 0]
    assert len(letters.looks) == looks, "without news nobody looks again"


async def test_a_commit_says_when_to_look(
    letters: Letters, worker: LaneWorker[Letter], hub: Hub, clock: ManualClock
) -> None:
    await worker.run_once()
    hub.announce(CommitNotice(due={Lane.SUBMIT: 0}))
    hub.announce(CommitNotice(due={Lane.POLL: NOW + 2_000}))
    hub.announce(CommitNotice(due={Lane.POLL: NOW + 9_000}))
    letters.due = "a"
    clock.advance(1.999)
    assert await worker.run_once() == 0
    clock.advance(0.001)
    assert await worker.run_once() == 1

    letters.due = "b"
    assert await worker.run_once() == 0
    hub.notify_all()  # another process has committed something
    assert await worker.run_once() == 1


async def test_a_look_goes_on_where_the_last_one_stopped(
    letters: Letters, worker: LaneWorker[Letter]
) -> None:
    letters.bookmark = Bookmark("samsar", 7)
    await worker.run_once()
    letters.bookmark = START
    await worker.run_once()
    await worker.run_once()
    assert letters.looks == [START, Bookmark("samsar", 7)]


async def test_work_that_was_left_is_looked_for_when_a_task_ends(
    letters: Letters, worker: LaneWorker[Letter], clock: ManualClock
) -> None:
    """It was not chosen although a slot was free, such as that of a busy host."""
    letters.due = "ab"
    letters.slots = 1
    await worker.run_once()
    letters.slots = 2
    letters.timer.at = None  # the look found nothing that it might take
    assert await worker.run_once() == 0
    await end(letters, "a")
    assert await worker.run_once() == 1


async def test_work_that_was_left_is_looked_for_when_a_task_ends_during_the_look(
    letters: Letters, worker: LaneWorker[Letter]
) -> None:
    letters.due = "a"
    await worker.run_once()
    letters.timer.look_at(0)
    letters.blocked = asyncio.Event()
    looking = asyncio.create_task(worker.run_once())
    await asyncio.sleep(0.001)
    await end(letters, "a")
    letters.blocked.set()
    assert await looking == 0
    letters.due = "b"
    assert await worker.run_once() == 1


@pytest.mark.parametrize("error", [StoreUnavailable("away"), ZeroDivisionError()])
async def test_after_a_failed_look_the_next_one_is_due_and_a_failed_task_gives_its_slot_back(
    letters: Letters, worker: LaneWorker[Letter], error: Exception, quiet_log: None
) -> None:
    letters.due, letters.slots, letters.error = "ab", 1, error
    with pytest.raises(type(error)):
        await worker.run_once()
    letters.error = None
    assert await worker.run_once() == 1
    await end(letters, "a", error)
    assert await worker.run_once() == 1


async def test_idling_ends_with_news_a_free_slot_and_the_time(
    letters: Letters, worker: LaneWorker[Letter], hub: Hub
) -> None:
    letters.due = "abc"
    await worker.run_once()
    idling = asyncio.create_task(worker.idle())
    await asyncio.sleep(0)
    hub.notify_all()
    await asyncio.wait_for(idling, 1)

    idling = asyncio.create_task(worker.idle())
    await end(letters, "a")
    await asyncio.wait_for(idling, 1)
    await asyncio.wait_for(worker.idle(), 1)


async def test_a_stop_waits_a_while_and_cancels_the_rest(
    letters: Letters, worker: LaneWorker[Letter], hub: Hub
) -> None:
    letters.due = "ab"
    await worker.run_once()
    await end(letters, "a")
    await worker.stop()
    assert letters.ends["b"].cancelled()
    letters.due = "c"
    hub.notify_all()
    assert await worker.run_once() == 0


@pytest.mark.parametrize("error", [None, StoreUnavailable("away")])
async def test_what_a_cancelled_look_has_taken_is_handled(
    letters: Letters, worker: LaneWorker[Letter], error: Exception | None
) -> None:
    """The look is committed whatever becomes of its caller."""
    letters.due, letters.error, letters.blocked = "a", error, asyncio.Event()
    looking = asyncio.create_task(worker.run_once())
    await asyncio.sleep(0.001)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(looking, 1)
    stopping = asyncio.create_task(worker.stop())
    letters.blocked.set()
    await stopping
    assert [*letters.ends] == ([] if error else ["a"])
