"""How the writer's time is shared: by duration, not by number."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import cast

import pytest

from store import writer as writer_module
from store.batch_sizer import (
    LATE,
    MAX_BACKGROUND,
    MAX_URGENT,
    MIN_BACKGROUND,
    MIN_URGENT,
    BatchSizer,
)
from store.changes import Changes, Effects
from store.session import Done, Session, Work
from store.writer import Batch, ThreadedWriter
from tests.store.gate import block

URGENT_SECONDS = 0.001
BACKGROUND_SECONDS = 0.001


def sizer_after(urgent: float, background: float) -> BatchSizer:
    """A sizer that has learned from batches whose members took this many seconds each."""
    sizer = BatchSizer()
    for _ in range(60):
        sizer.record(10, 4, (10 * urgent, 4 * background))
    return sizer


@pytest.mark.parametrize(
    ("urgent", "background", "members", "waited", "expected"),
    [
        # A third of the time of 256 callbacks at 15 µs is 1.28 ms.
        (15e-6, 50e-6, 256, 0.0, 25),
        (15e-6, 50e-6, 256, LATE, 25),
        # Twice that, once the oldest has waited longer than 0.2 s.
        (15e-6, 50e-6, 256, LATE + 0.001, 51),
        # However slow it is, a batch has some: they hardly delay the commit.
        (15e-6, 150e-6, 256, 0.0, MIN_BACKGROUND),
        (15e-6, 1.0, 256, 9.0, MIN_BACKGROUND),
        (15e-6, 150e-6, 1, 0.0, MIN_BACKGROUND),
        # However fast it is, this limits the wait of the next urgent work.
        (15e-6, 1e-6, 256, 0.0, MAX_BACKGROUND),
        # No urgent work.
        (15e-6, 1.0, 0, 0.0, MAX_BACKGROUND),
    ],
)
def test_background_work_gets_its_share_of_the_time(
    urgent: float, background: float, members: int, waited: float, expected: int
) -> None:
    sizer = sizer_after(urgent, background)

    assert sizer.background_members(members, waited) == expected


@pytest.mark.parametrize(
    ("seconds", "members"),
    [(15e-6, MAX_URGENT), (1e-3, MAX_URGENT), (5e-3, 10), (9e-3, 5), (1.0, MIN_URGENT)],
)
def test_slow_urgent_works_make_smaller_batches(seconds: float, members: int) -> None:
    assert sizer_after(seconds, 1e-3).urgent_members == members


def test_an_unmeasured_batch_is_as_large_as_possible() -> None:
    assert BatchSizer().urgent_members == MAX_URGENT
    assert BatchSizer().background_members(256, 0.0) == MAX_BACKGROUND


def test_durations_are_learned_within_some_batches() -> None:
    sizer = sizer_after(15e-6, 1e-3)
    for _ in range(20):
        sizer.record(256, 8, (256 * 15e-6, 8 * 50e-6))

    assert MIN_BACKGROUND < sizer.background_members(256, 0.0) <= 25


def test_a_batch_of_one_kind_changes_nothing_for_the_other() -> None:
    sizer = sizer_after(15e-6, 50e-6)
    for _ in range(60):
        sizer.record(256, 0, (256 * 15e-6, 0.0))
    assert sizer.background_members(256, 0.0) == 25
    for _ in range(60):
        sizer.record(0, 64, (0.0, 64 * 50e-6))
    assert sizer.background_members(256, 0.0) == 25


# --- the writer under load ------------------------------------------------------------------------


NO_SESSION = cast(Session, None)


class PricedRunner:
    """Runs works in memory, and reports a fixed time for each."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, int]] = []

    def run(self, urgent: Sequence[Work[object]], background: Sequence[Work[object]] = ()) -> Batch:
        self.batches.append((len(urgent), len(background)))
        outcomes = [Done(work(NO_SESSION, Effects())) for work in (*urgent, *background)]
        seconds = len(urgent) * URGENT_SECONDS, len(background) * BACKGROUND_SECONDS
        return Batch([*outcomes], Changes(), seconds)

    def close(self) -> None:
        pass


class FakeTime:
    """The module `time`, as the writer sees it."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    perf_counter = monotonic


def nothing(_session: Session, _effects: Effects) -> None:
    """A work that does nothing."""


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    fake = FakeTime()
    monkeypatch.setattr(writer_module, "time", fake)
    return fake


@pytest.fixture
def runner() -> PricedRunner:
    return PricedRunner()


@pytest.fixture
async def writer(runner: PricedRunner, time: FakeTime) -> AsyncIterator[ThreadedWriter]:
    """A writer that has learned how long works take."""
    writer = ThreadedWriter(runner)
    for _ in range(60):
        await writer.urgent(nothing)
        await writer.normal(nothing)
    runner.batches.clear()
    yield writer
    await writer.close()


@pytest.mark.parametrize(
    ("waited", "background"),
    # At 1 ms each, a third of 40 ms is less than the minimum; two thirds are more.
    [(0.0, MIN_BACKGROUND), (LATE + 0.1, 26)],
)
async def test_under_load_background_work_gets_its_share_of_each_batch(
    writer: ThreadedWriter, runner: PricedRunner, time: FakeTime, waited: float, background: int
) -> None:
    gate, blocked = await block(writer)
    waiting = [writer.normal(nothing) for _ in range(500)]
    waiting += [writer.urgent(nothing) for _ in range(4 * MAX_URGENT)]
    time.now += waited
    gate.open()
    await asyncio.gather(blocked, *waiting)

    assert runner.batches[:5] == [(1, 0), *[(MAX_URGENT, background)] * 4]
    # As many as possible once no urgent work is left.
    assert runner.batches[5] == (0, MAX_BACKGROUND)
