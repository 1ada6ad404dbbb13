"""Decides which relay attempts may start: limits per host and user, stricter for unproven hosts.

A hanging host keeps an attempt's slot for the whole timeout. A host is proven if it has answered,
except for users whose own last attempt there got no answer: their URLs may lead to another program.
At an unproven host, each user has one attempt at a time; at a throttled one, all users together.
While fewer than sixteen attempts at unproven hosts are under way, any user may start one; beyond
that, up to 56, only a user who has none under way.
"""

from collections import Counter
from dataclasses import dataclass, field

from receiver.domain.relay import KnownHosts

ATTEMPTS_AT_ONCE = 64
PER_USER = 16
PER_HOST = 4
UNPROVEN_AT_ONCE = 56
UNPROVEN_FREELY = 16


@dataclass(slots=True)
class InFlight:
    """Attempts under way or about to start."""

    hosts: Counter[str] = field(default_factory=Counter)
    pairs: Counter[tuple[int, str]] = field(default_factory=Counter)
    """By user and host."""
    users: Counter[int] = field(default_factory=Counter)
    unproven: Counter[int] = field(default_factory=Counter)
    """By user: attempts at hosts that were unproven when they started."""

    def begin(self, user_id: int, host: str, *, proven: bool) -> None:
        self.hosts[host] += 1
        self.pairs[user_id, host] += 1
        self.users[user_id] += 1
        self.unproven[user_id] += not proven

    def end(self, user_id: int, host: str, *, proven: bool) -> None:
        self.hosts[host] -= 1
        self.pairs[user_id, host] -= 1
        self.users[user_id] -= 1
        self.unproven[user_id] -= not proven
        for counts in (self.hosts, self.pairs, self.users, self.unproven):
            counts += Counter()  # drops zero counts

    def copy(self) -> "InFlight":
        return InFlight(
            self.hosts.copy(), self.pairs.copy(), self.users.copy(), self.unproven.copy()
        )


class Slots:
    """The free slots of one pass; implements `store.deliveries.Slots`. Created and used in the
    store's thread, where it only reads the shared state of hosts and attempts."""

    def __init__(
        self, in_flight: InFlight, known: KnownHosts, now: float, free: int, unproven: int
    ) -> None:
        """`free` attempts may start, of which `unproven` at unproven hosts."""
        self._in_flight = in_flight.copy()
        self._known = known
        self._now = now
        self._free = free
        self._unproven = unproven
        self.passed_over = False
        """Whether a message got no slot only because `unproven` is used up."""

    def room(self, user_id: int, host: str) -> int:
        if not self._free:
            return 0
        most = PER_HOST - self._in_flight.hosts[host]
        if not self._known.answers(user_id, host):
            running = self._in_flight
            throttled = host in self._known.throttled
            busy = running.hosts[host] if throttled else running.pairs[user_id, host]
            if busy or not self._may_try(user_id, host):
                return 0
            if not self._unproven:
                self.passed_over = True
                return 0
            most = min(most, 1)
        return min(most, PER_USER - self._in_flight.users[user_id], self._free)

    def take(self, user_id: int, host: str) -> None:
        proven = self._known.answers(user_id, host)
        self._in_flight.begin(user_id, host, proven=proven)
        self._free -= 1
        self._unproven -= not proven

    def _may_try(self, user_id: int, host: str) -> bool:
        begun = self._in_flight.unproven.total()
        return self._known.may_try(host, self._now) and (
            begun < UNPROVEN_FREELY
            or (begun < UNPROVEN_AT_ONCE and not self._in_flight.unproven[user_id])
        )
