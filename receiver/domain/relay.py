"""Decides what follows a delivery attempt, and when a host is throttled. Pure."""

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from store.records.deliveries import DeliveryState
from store.records.times import Millis

FAILURES_TO_THROTTLE = 5
PROBE_EVERY = 60.0
"""Seconds."""
HOSTS_PER_USER = 1_024
FORGET_AFTER = 3_600.0
"""Seconds."""
JITTER = 0.1
"""Maximum jitter added to a gap, as a fraction of it."""


def after_attempt(
    status_code: int | None,
    retry_after: Millis | None,
    step: int,
    schedule: Sequence[Millis],
    now: Millis,
    jitter: float,
) -> tuple[DeliveryState, Millis | None]:
    """A delivery's state after attempt number `step` (from 0) of the schedule, and the time of the
    next attempt, if it is pending.

    `jitter` from 0 to 1 scales `JITTER`. 2xx is delivered, and 410 disables the URL for the job. A
    Retry-After with 429 or 503 can lengthen the gap; everything else follows the schedule.
    """
    if status_code is not None and 200 <= status_code < 300:
        return DeliveryState.DELIVERED, None
    if status_code == 410:
        return DeliveryState.DISABLED, None
    if step + 1 >= len(schedule):
        return DeliveryState.EXHAUSTED, None
    gap = round(schedule[step + 1] * (1 + JITTER * jitter))
    if status_code in (429, 503) and retry_after is not None:
        gap = max(gap, retry_after)
    return DeliveryState.PENDING, now + gap


@dataclass(slots=True)
class _Host:
    """The results of the latest attempts at one host."""

    user_id: int
    """The user whose message was first sent to it; it counts against that user's limit."""
    at: float = 0.0
    """When the last attempt ended."""
    answered: bool = False
    """Whether an attempt got an answer, and none has failed to connect since."""
    unanswered: set[int] = field(default_factory=set)
    """The users whose own last attempt got no answer: their URLs may lead to another program."""
    connect_failures: int = 0
    """Consecutive."""


class KnownHosts:
    """Which hosts answer, and which are throttled: after five consecutive connect failures a host
    gets one attempt a minute, until one connects.

    Times are monotonic seconds. The number of remembered hosts is limited per user, and hosts that
    were not tried for an hour are forgotten, so that a user's many hosts neither use up memory nor
    displace those of other users.
    """

    def __init__(self) -> None:
        self.throttled: set[str] = set()
        """The throttled hosts."""
        self._hosts: OrderedDict[str, _Host] = OrderedDict()
        """The least recently tried first."""
        self._by_user: defaultdict[int, OrderedDict[str, None]] = defaultdict(OrderedDict)
        """The hosts that count against each user's limit, in the same order."""

    def answers(self, user_id: int, host: str) -> bool:
        """Whether the host answers, and has answered this user's last attempt, if there was one."""
        known = self._hosts.get(host)
        return known is not None and known.answered and user_id not in known.unanswered

    def may_try(self, host: str, now: float) -> bool:
        """Whether an attempt is allowed now."""
        known = self._hosts.get(host)
        return (
            known is None
            or known.connect_failures < FAILURES_TO_THROTTLE
            or now >= known.at + PROBE_EVERY
        )

    def record_attempt(
        self, user_id: int, host: str, now: float, *, answered: bool, connected: bool
    ) -> None:
        """Record the result of an attempt."""
        known = self._hosts.setdefault(host, _Host(user_id))
        self._hosts.move_to_end(host)
        of_user = self._by_user[known.user_id]
        of_user[host] = None
        of_user.move_to_end(host)
        known.at = now
        if answered:
            known.unanswered.discard(user_id)
        else:
            known.unanswered.add(user_id)
        known.answered = answered or (connected and known.answered)
        known.connect_failures = 0 if connected else known.connect_failures + 1
        if known.connect_failures >= FAILURES_TO_THROTTLE:
            self.throttled.add(host)
        else:
            self.throttled.discard(host)
        if len(of_user) > HOSTS_PER_USER:
            self._forget(next(iter(of_user)))

    def forget_stale(self, now: float) -> None:
        """Forget hosts that were not tried for an hour."""
        while self._hosts and next(iter(self._hosts.values())).at + FORGET_AFTER <= now:
            self._forget(next(iter(self._hosts)))

    def _forget(self, host: str) -> None:
        known = self._hosts.pop(host)
        self.throttled.discard(host)
        of_user = self._by_user[known.user_id]
        del of_user[host]
        if not of_user:
            del self._by_user[known.user_id]
