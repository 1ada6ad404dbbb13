"""A cell is lost, and comes back with its database: nobody else feels it, nothing is paid twice."""

from tests.simulation.cells import JOBS, LOST_AT, LOST_FOR, cells

LOST = 1
SOON = 35.0
"""Seconds after a lost cell's return: what ended meanwhile is known by then."""


def test_a_lost_cell_is_felt_by_its_own_users_only_and_gives_them_theirs() -> None:
    before, after = cells(None), cells(LOST)

    for number in {*range(len(before))} - {LOST}:
        assert after[number].journal == before[number].journal

    back = LOST_AT + LOST_FOR
    lost = after[LOST]
    assert lost.journal != before[LOST].journal
    assert lost.answered == len(lost.lives) == JOBS
    assert [*lost.submissions] == [1] * JOBS
    late = [end for made, end in lost.lives if made < LOST_AT < end]
    assert len(late) == sum(made < LOST_AT < end for made, end in before[LOST].lives) > 0
    assert all(back < end < back + SOON for end in late)
