"""Whether a call to others may go out now: one answer of all that limits calls of one kind.

A call counts for some keys, such as its provider and its user. Keys have limits: how many calls may
be under way at once, and pauses after failures. All calls together may have a rate. Times are
monotonic, in seconds.
"""

import math
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from receiver.clock import Clock
from store.lanes import Candidate

MAX_THROTTLES: Final = 10_000
"""Maximum number of keys of one gate whose failures are remembered; then the one that failed
longest ago is forgotten. Only what has failed is remembered at all."""

Key: TypeAlias = tuple[str, Hashable]
"""The name of a limit, and whose it is: `("host", "hooks.example:443")`."""
Keys: TypeAlias = Sequence[Key]

State = Literal["closed", "half_open", "open"]


@dataclass(frozen=True, slots=True)
class Pauses:
    """When calls pause, and for how long."""

    after: int
    """Failures in a row before the first pause."""
    first: float
    """The first pause, in seconds. It doubles with each failure of a probe."""
    longest: float


@dataclass(frozen=True, slots=True)
class Limit:
    """What limits the calls with the same key."""

    at_once: int = sys.maxsize
    """How many may be under way."""
    pauses: Pauses | None = None


@dataclass(frozen=True, slots=True)
class Throttle:
    """The failures of calls with one key. A value: each report makes a new one.

    After some failures in a row calls pause. After a pause, one call at a time is a probe, until
    one succeeds. The result of a call that began before the last pause counts for nothing, so many
    calls that fail together count as one.
    """

    failures: int = 0
    paused_at: float = -math.inf
    until: float | None = None
    length: float = 0.0
    probing: bool = False
    """Whether a probe is under way."""
    held_back_at: float = -math.inf
    """When it last kept a call back."""

    @property
    def state(self) -> State:
        """As of a circuit breaker: `open` from the first pause to the first success, but for
        probes (`half_open`)."""
        if self.until is None:
            return "closed"
        return "half_open" if self.probing else "open"

    def seconds_left(self, now: float) -> float:
        """How long the pause still lasts; 0 if there is none, or it is over."""
        return 0.0 if self.until is None else max(0.0, self.until - now)

    def room(self, now: float) -> int:
        """How many calls may begin: any number, one as a probe, or none."""
        if self.until is None:
            return sys.maxsize
        return 1 if now >= self.until and not self.probing else 0


NO_FAILURES: Final = Throttle()


@dataclass(frozen=True, slots=True)
class View:
    """What a gate lets through at a moment. A value, so that choosing by it is pure."""

    at: float
    limits: Mapping[str, Limit]
    throttles: Mapping[Key, Throttle]
    under_way: Mapping[Key, int]

    def throttle(self, key: Key) -> Throttle:
        return self.throttles.get(key, NO_FAILURES)

    def pauses_left(self) -> list[float]:
        """How many seconds each pause still lasts."""
        return [left for each in self.throttles.values() if (left := each.seconds_left(self.at))]

    def room(self, key: Key) -> int:
        """How many calls with this key may begin."""
        room = self.limits[key[0]].at_once - self.under_way.get(key, 0)
        return min(room, self.throttle(key).room(self.at))

    def choose(
        self, keys_of: Callable[[Candidate], Keys], candidates: Iterable[Candidate]
    ) -> list[Candidate]:
        """Those that may go, if the first go first."""
        taken, chosen = Counter[Key](), list[Candidate]()
        for each in candidates:
            keys = keys_of(each)
            if all(taken[key] < self.room(key) for key in keys):
                chosen.append(each)
                taken.update(keys)
        return chosen


class RateLimiter:
    """At most `rate` calls per second, evenly spaced. Unused calls add up for at most a tenth of a
    second (but one never expires), so overdue work does not start in a burst."""

    def __init__(self, rate: float) -> None:
        self._gap = 1.0 / rate
        self._burst = max(self._gap, 0.1)
        self._next = 0.0

    def free(self, now: float) -> int:
        """How many calls may be made now."""
        earliest = max(self._next, now - self._burst + self._gap)
        return max(0, int((now - earliest) / self._gap + 1e-9) + 1) if earliest <= now else 0

    def take(self, now: float) -> None:
        """Count a call."""
        self._next = max(self._next, now - self._burst + self._gap) + self._gap

    def seconds_until_free(self, now: float) -> float:
        """Seconds until the next call may be made."""
        return max(0.0, self._next - now)


class Gate:
    """The limits of one kind of calls."""

    def __init__(
        self, clock: Clock, limits: Mapping[str, Limit], rate: RateLimiter | None = None
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._rate = rate
        self._throttles: OrderedDict[Key, Throttle] = OrderedDict()

    def view(self, under_way: Iterable[Keys] = ()) -> View:
        """What may go now, beside the calls under way."""
        counted = Counter(key for keys in under_way for key in keys)
        return View(self._clock.monotonic(), self._limits, dict(self._throttles), counted)

    def throttle(self, key: Key) -> Throttle:
        return self._throttles.get(key, NO_FAILURES)

    def admits(self, keys: Keys) -> bool:
        """Whether the rate and the pauses let a call go now."""
        now = self._clock.monotonic()
        in_time = self._rate is None or self._rate.free(now) > 0
        return in_time and all(self.throttle(key).room(now) for key in keys)

    def probe_now(self, key: Key) -> None:
        """End a pause that lasts: a probe may begin now."""
        throttle = self.throttle(key)
        if throttle.until is not None:
            until = min(throttle.until, self._clock.monotonic())
            self._throttles[key] = replace(throttle, until=until)

    def held_back(self, keys: Keys, at: float) -> None:
        """Note that pauses, as of a view, kept a call back."""
        for key in keys:
            if (throttle := self.throttle(key)).until is not None:
                self._throttles[key] = replace(throttle, held_back_at=at)

    def began(self, keys: Keys, began: float) -> None:
        """A call begins, which was admitted at `began`: it counts against the rate, and after a
        pause it is a probe. Its end is reported with the same time, in one of the next three
        ways."""
        if self._rate is not None:
            self._rate.take(began)
        paused = [key for key in keys if self.throttle(key).until is not None]
        self._update(paused, began, probing=True)

    def succeeded(self, keys: Keys, began: float) -> None:
        """A call that began at `began` was answered."""
        self._update(keys, began, failures=0, until=None, length=0.0, probing=False)

    def abandoned(self, keys: Keys, began: float) -> None:
        """A call has ended in neither way: another may be the probe. Changes nothing after another
        report."""
        self._update(keys, began, probing=False)

    def failed(
        self, keys: Keys, began: float, retry_after: float | None = None, *, final: bool = False
    ) -> None:
        """A call failed. `retry_after`, in seconds, is the pause that was asked for: it counts if
        it is shorter than ours. `final`: no further failure is needed for a pause."""
        now = self._clock.monotonic()
        for key in keys:
            throttle, pauses = self.throttle(key), self._limits[key[0]].pauses
            if pauses is None or began <= throttle.paused_at:
                continue
            changes: dict[str, Any] = {"failures": throttle.failures + 1, "probing": False}
            if throttle.until is not None or final or changes["failures"] >= pauses.after:
                length = min(throttle.length * 2 or pauses.first, pauses.longest)
                pause = length if retry_after is None else min(length, retry_after)
                changes |= {"paused_at": now, "until": now + pause, "length": length}
            self._throttles[key] = replace(throttle, **changes)
            self._throttles.move_to_end(key)
            if len(self._throttles) > MAX_THROTTLES:
                self._throttles.popitem(last=False)

    def _update(self, keys: Keys, began: float, **changes: Any) -> None:
        for key in keys:
            throttle = self._throttles.get(key)
            if throttle is not None and began > throttle.paused_at:
                self._throttles[key] = replace(throttle, **changes)
