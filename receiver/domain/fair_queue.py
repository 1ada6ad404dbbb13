"""Fair scheduling: users share a number of slots, and the one with the fewest goes first. Pure."""

from collections import Counter, deque
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class FairQueue(Generic[K, T]):
    """Items that wait for a slot, by user; each has a key.

    A free slot goes to the waiting user who holds the fewest slots; if several do, to the one who
    has waited longest for a turn. So a user who holds all slots must share them, as they become
    free, as soon as another user waits.
    """

    def __init__(self, slots: int) -> None:
        self.items: dict[K, T] = {}
        """All that wait; for reading only."""
        self._free = slots
        self._waiting: dict[int, deque[tuple[bool, K]]] = {}
        """By user, the one who has waited longest for a turn first; no empty queues. Each key has
        whether it was put ahead."""
        self._taken: Counter[int] = Counter()

    def waiting(self, user_id: int) -> int:
        """How many items of the user wait."""
        return len(self._waiting.get(user_id, ()))

    def add(self, user_id: int, key: K, item: T, *, ahead: bool = False) -> None:
        """Queue an item behind the user's others, or ahead of all that were not put ahead. An item
        that waits with this key is replaced, and keeps its place."""
        if key not in self.items:
            keys = self._waiting.setdefault(user_id, deque())
            place = sum(was_ahead for was_ahead, _ in keys) if ahead else len(keys)
            keys.insert(place, (ahead, key))
        self.items[key] = item

    def take(self) -> T | None:
        """Give a slot to the next item and return it; None if no slot is free or nothing waits."""
        if not self._free or not self._waiting:
            return None
        user_id = min(self._waiting, key=self._taken.__getitem__)
        keys = self._waiting.pop(user_id)
        _, key = keys.popleft()
        if keys:
            self._waiting[user_id] = keys  # re-inserted at the end
        self.take_slot(user_id)
        return self.items.pop(key)

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

    def remove(self, is_wanted: Callable[[T], bool]) -> list[K]:
        """Remove the wanted items, which get no slot; returns their keys."""
        wanted = [key for key, item in self.items.items() if is_wanted(item)]
        for key in wanted:
            del self.items[key]
        left = {
            user_id: deque(each for each in keys if each[1] in self.items)
            for user_id, keys in self._waiting.items()
        }
        self._waiting = {user_id: keys for user_id, keys in left.items() if keys}
        return wanted
