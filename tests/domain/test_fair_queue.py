"""`FairQueue`: users share the slots fairly."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from receiver.domain.fair_queue import FairQueue


def test_a_single_user_has_every_slot_in_order() -> None:
    queue = FairQueue[int, int](3)
    for thing in range(5):
        queue.add(1, thing, thing)
    assert [queue.take() for _ in range(4)] == [0, 1, 2, None]
    queue.give_back(1)
    assert queue.take() == 3
    assert len(queue.items) == queue.waiting(1) == 1


def test_the_user_with_the_fewest_slots_is_next_then_the_longest_waiting() -> None:
    queue = FairQueue[str, str](4)
    for user in (1, 2, 3):
        for thing in "xyz":
            queue.add(user, f"{user}{thing}", f"{user}{thing}")
    assert [queue.take() for _ in range(4)] == ["1x", "2x", "3x", "1y"]
    queue.give_back(1)
    # Each has one slot: two and three have waited longer than one, who had the last turn.
    assert queue.take() == "2y"


def test_items_put_ahead_are_their_users_next_in_order() -> None:
    queue = FairQueue[str, str](5)
    for user, thing in ((1, "a"), (2, "b"), (1, "c")):
        queue.add(user, thing, thing)
    queue.add(1, "ahead", "ahead", ahead=True)
    queue.add(1, "too", "too", ahead=True)
    assert [queue.take() for _ in range(5)] == ["ahead", "b", "too", "a", "c"]


def test_removed_items_get_no_slot() -> None:
    queue = FairQueue[int, int](1)
    for thing in range(4):
        queue.add(thing % 2, thing, thing)
    assert sorted(queue.remove(lambda thing: thing < 3)) == [0, 1, 2]
    assert [queue.take(), queue.take()] == [3, None]


def test_an_item_with_a_waiting_key_replaces_it_in_its_place() -> None:
    queue = FairQueue[int, str](3)
    for key, item in ((1, "old"), (2, "other"), (1, "new")):
        queue.add(1, key, item)
    assert list(queue.items.values()) == ["new", "other"]
    assert [queue.take() for _ in range(3)] == ["new", "other", None]
    queue.add(1, 1, "again")
    assert queue.take() == "again"


@given(
    slots=st.integers(1, 9),
    steps=st.lists(st.one_of(st.tuples(st.just("add"), st.integers(0, 4)),
                             st.tuples(st.just("end"), st.integers(0, 8))), max_size=200),
)  # fmt: skip
def test_nobody_takes_more_than_half_while_another_waits(
    slots: int, steps: list[tuple[str, int]]
) -> None:
    queue = FairQueue[int, int](slots)
    running: list[int] = []
    for step, (what, number) in enumerate(steps):
        if what == "add":
            queue.add(number, step, number)
        elif running:
            queue.give_back(running.pop(number % len(running)))
        while (user := queue.take()) is not None:
            running.append(user)
            if any(queue.waiting(other) for other in range(5) if other != user):
                assert Counter(running)[user] <= (slots + 1) // 2
        # No slot is free while somebody waits.
        assert len(running) == slots or not queue.items
