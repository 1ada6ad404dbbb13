"""A cell is lost and comes back with its database: other cells do not notice, and nothing is paid
for twice."""

from tests.simulation.cells import JOBS, LOST_AT, LOST_FOR, cells
from tests.simulation.world import World

LOST = 1
SOON = 35.0
"""Seconds after a lost cell's return by which it knows what ended meanwhile."""


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
