"""Several cells (docs/scaling.md), a world each on one loop. A cell is lost and comes back with its
database: other cells do not notice, and nothing is paid for twice."""

from collections.abc import Sequence
from random import Random

from tests.simulation.known_bad.plans import submissions
from tests.simulation.loop import VirtualLoop
from tests.simulation.oracle import check_end
from tests.simulation.provider import Fate
from tests.simulation.schedule import Schedule, schedule_of
from tests.simulation.simulate import worlds_of
from tests.simulation.world import World

CELLS = 3
JOBS = 10
LOST_AT = 31.0
LOST_FOR = 120.0
END = 260.0
"""Virtual seconds. Ticks are not skipped, so that no cell's timing depends on another's."""
LOST = 1
SOON = 35.0
"""Seconds after a lost cell's return by which it knows what ended meanwhile."""


def cells(lost: int | None) -> list[World]:
    """Run all cells. `lost` has a power cut and loses what was not synced. Raises `Violation`."""
    loop = VirtualLoop()
    with worlds_of(loop, [_plan(seed) for seed in range(CELLS)]) as worlds:
        loop.run(_run(worlds, lost))
        return worlds


def _plan(seed: int) -> Schedule:
    """Jobs of a user who retries until there is an answer, and whose files have no faults."""
    random = Random(seed)

    def is_plain(fate: Fate) -> bool:
        plain = fate.is_told_at_once and not fate.link_after
        files = all(not (file.faults or file.permanent_fault) for file in fate.files)
        taken = fate.submission == "accept" and fate.latency < 1
        return taken and plain and files and 20 <= fate.renders <= 60

    return schedule_of(
        seed, submissions((random.uniform(1.0, 60.0) for _ in range(JOBS)), is_plain)
    )


async def _run(worlds: Sequence[World], lost: int | None) -> None:
    loop = worlds[0].loop
    for world in worlds:
        await world.set_up()
        world.spawn(world.play())
    await loop.arrival_at(LOST_AT)
    if lost is not None:
        worlds[lost].die_at_sync({"power": True, "syncs": None, "down": LOST_FOR})
    await loop.arrival_at(END)
    for world in worlds:
        check_end(world)
        world.files.check_end()


def test_a_lost_cell_is_felt_by_its_own_users_only_and_gives_them_theirs() -> None:
    before, after = cells(None), cells(LOST)

    for number, (whole, beside) in enumerate(zip(before, after, strict=True)):
        assert (whole.judge.lines == beside.judge.lines) is (number != LOST)

    lost, back = after[LOST], LOST_AT + LOST_FOR
    assert [bool(each.request_ids) for each in lost.users.submissions.values()] == [True] * JOBS
    assert [len(each) for each in lost.provider.submissions.values()] == [1] * JOBS
    assert len(lost.truth.jobs) == JOBS
    late = unfinished_then(lost)
    assert len(late) == len(unfinished_then(before[LOST])) > 0
    assert all(back < end < back + SOON for end in late)


def unfinished_then(world: World) -> list[float]:
    """The end times of the jobs that were unfinished at the moment of the loss."""
    lives = [
        (job.events[0].committed_at, job.outcome.committed_at) for job in world.truth.jobs.values()
    ]
    return [end for made, end in lives if made < LOST_AT < end]
