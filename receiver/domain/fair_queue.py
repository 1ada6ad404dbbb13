"""Fair scheduling: users share a number of slots, and the one with the fewest goes first. Pure."""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Items that wait for a slot, by user.

    A free slot goes to the waiting user who holds the fewest slots; if several do, to the one who
    has waited longest for a turn. So a user who holds all slots must share them, as they become
    free, as soon as another user waits.
    """

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._waiting: dict[int, deque[tuple[bool, T]]] = {}
        """By user, the one who has waited longest for a turn first; no empty queues. Each item has
        whether it was put ahead."""
        self._taken: Counter[int] = Counter()

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def __iter__(self) -> Iterator[T]:
        for items in self._waiting.values():
            for _, item in items:
                yield item

    def waiting(self, user_id: int) -> int:
        """How many items of the user wait."""
        return len(self._waiting.get(user_id, ()))

    def add(self, user_id: int, item: T, *, ahead: bool = False) -> None:
        """Queue an item behind the user's others, or ahead of all that were not put ahead."""
        items = self._waiting.setdefault(user_id, deque())
        place = sum(was_ahead for was_ahead, _ in items) if ahead else len(items)
        items.insert(place, (ahead, item))

    def take(self) -> T | None:
        """Give a slot to the next item and return it; None if no slot is free or nothing waits."""
        if not self._free or not self._waiting:
            return None
        user_id = min(self._waiting, key=self._taken.__getitem__)
        items = self._waiting.pop(user_id)
        _, item = items.popleft()
        if items:
            self._waiting[user_id] = items  # re-inserted at the end
        self.take_slot(user_id)
        return item

    @property
    def has_free_slot(self) -> bool:
        """Whether a slot is free, and nothing waits for it."""
        return self._free > 0 and not self._waiting

    def take_slot(self, user_id: int) -> None:
        """Give the user a free slot without queueing an item."""
        self._free -= 1
        self._taken[user_id] += 1

    def give_back(self, user_id: int) -> None:
        """Release a slot of the user."""
        self._free += 1
        self._taken[user_id] -= 1
        self._taken += Counter()  # drops zero counts

    def remove(self, is_wanted: Callable[[T], bool]) -> list[T]:
        """Remove and return the wanted items; they get no slot."""
        wanted = [item for item in self if is_wanted(item)]
        left = {
            user_id: deque(item for item in items if not is_wanted(item[1]))
            for user_id, items in self._waiting.items()
        }
        self._waiting = {user_id: items for user_id, items in left.items() if items}
        return wanted
