"""Sends relay messages: leased, signed, one in flight a job, and no host in another one's way."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence, Set
from typing import Any

from receiver import tracing
from receiver.actions.core import Core
from receiver.actions.trace_of import trace_of
from receiver.domain.relay import HostGate, after_attempt
from receiver.streams.hub import Hub, Queue
from receiver.webhooks.delivery import Attempt as Made
from receiver.webhooks.delivery import Courier
from receiver.webhooks.signing import sign
from receiver.workers.worker import Flight
from store.records import Attempt, Delivery, Millis, User

AT_ONCE = 64
PER_USER = 16
PER_HOST = 4
UNPROVEN_AT_ONCE = 56
UNPROVEN_FREELY = 16
"""Slow start: what hosts without an answer to their last attempt, or yet, may take of these places.
One that hangs keeps its place for the whole timeout, and one answer is enough to be proven. So such
a host has one attempt at a time; while fewer than sixteen are under way anybody may begin one, and
beyond that each user has one."""
UNPROVEN_PER_PASS = 8
UNPROVEN_AFTER = 0.025
"""Seconds from a ring to the look for them: what it was for goes first, undisturbed."""
UNPROVEN_PAUSE: Millis = 100
"""How long a message waits that was leased and found no such place."""
HOSTS_REMEMBERED = 4_096
LEASE_SLACK: Millis = 15_000
"""What a lease outlasts the longest attempt by."""
DRAIN_SECONDS = 5.0
SAFETY_SECONDS = 0.5
EXCERPT = 200
"""Characters of an answer that the history keeps."""


class Relay:
    """The worker behind `webhookUrl`."""

    name = "relay"

    def __init__(
        self,
        core: Core,
        hub: Hub,
        courier: Courier,
        holder: str,
        *,
        schedule: Sequence[Millis],
        timeout: float,
        chance: Callable[[], float],
    ) -> None:
        """`timeout` of one attempt in seconds; `chance` gives numbers from 0 to 1 for jitter."""
        self._core = core
        self._bell = hub.lasting_bell(Queue.RELAY)
        self._courier = courier
        self._holder = holder
        self._schedule = schedule
        self._timeout = timeout
        self._chance = chance
        self._flight = Flight(AT_ONCE)
        self._sending: set[str] = set()
        """Messages whose attempt has begun and is not settled."""
        self._hosts: Counter[str] = Counter()
        self._users: Counter[int] = Counter()
        self._unproven: Counter[int] = Counter()
        """By user: attempts under way at hosts that are not proven."""
        self._answered: dict[str, bool] = {}
        """By host: whether the last attempt had an answer; not there before the first."""
        self._gates: dict[str, HostGate] = {}
        self._unproven_at: float | None = None
        """Monotonic time of the next look for messages to hosts that are not proven."""

    async def run_once(self) -> int:
        """Begin the attempts that are due and have a free place; how many, where there may be more.

        What finds no place is begun when an attempt ends, which rings.
        """
        # Whoever stands still after this for longer has lost the lease before the attempt ends.
        begin_by = self._core.clock.now() + LEASE_SLACK
        unproven = {host for host, answered in self._answered.items() if not answered}
        free = self._flight.free
        leased = await self._lease(free, PER_HOST, without_hosts=unproven)
        await self._begin(leased, begin_by)
        if unproven:
            await self._begin_unproven(begin_by)
        self._core.metrics.relay_hosts_open.set(sum(gate.held for gate in self._gates.values()))
        return len(leased) if len(leased) == free else 0

    async def _begin_unproven(self, begin_by: Millis) -> None:
        """After the others, and a few at a time: an attempt is work, whatever comes of it."""
        now = self._core.clock.monotonic()
        if self._unproven_at is None:
            self._unproven_at = now + UNPROVEN_AFTER
        if now < self._unproven_at:
            return
        begun = self._unproven.total()
        few = min(self._flight.free, UNPROVEN_AT_ONCE - begun, UNPROVEN_PER_PASS)
        full = self._unproven.keys() if begun >= UNPROVEN_FREELY else frozenset[int]()
        leased = await self._lease(few, 1, without_users=full)
        await self._begin(leased, begin_by)
        self._unproven_at = now + UNPROVEN_AFTER if len(leased) == few > 0 else None

    async def _lease(
        self,
        limit: int,
        per_host: int,
        *,
        without_hosts: Set[str] = frozenset(),
        without_users: Set[int] = frozenset(),
    ) -> list[Delivery]:
        """Take what is due, but for these and for hosts that are held back."""
        if limit <= 0:
            return []
        now = self._core.clock.now()
        hosts = self._hosts + Counter(dict.fromkeys(without_hosts, per_host))
        for host, gate in self._gates.items():
            hosts[host] += per_host - gate.places(now, per_host)
        return await self._core.store.deliveries.lease(
            now,
            now + int(self._timeout * 1_000) + LEASE_SLACK,
            self._holder,
            limit=limit,
            per_host=per_host,
            per_user=PER_USER,
            busy_hosts=hosts,
            busy_users=self._users + Counter(dict.fromkeys(without_users, PER_USER)),
        )

    async def idle(self) -> None:
        due = await self._core.store.deliveries.next_due()
        now = self._core.clock.now()
        # What is due and was not taken waits for a place, and an attempt that ends rings.
        ahead = due is not None and due > now
        seconds = (due - now) / 1_000 if ahead and due is not None else SAFETY_SECONDS
        if self._unproven_at is not None:
            # A millisecond at least: what is less may be nothing to the clock.
            seconds = min(seconds, max(self._unproven_at - self._core.clock.monotonic(), 0.001))
        await self._bell.wait(min(seconds, SAFETY_SECONDS))

    async def stop(self) -> None:
        """Give attempts in flight their time, and the others back."""
        await self._flight.drain(DRAIN_SECONDS)
        await self._core.store.deliveries.release(self._holder)

    async def drain(self) -> None:
        """Wait for every attempt that has begun."""
        await self._flight.drain()

    async def _begin(self, leased: Sequence[Delivery], begin_by: Millis) -> None:
        """Begin the attempts whose hosts have a place, and put the others off."""
        surplus = []
        for delivery in leased:
            if delivery.id in self._sending:
                # This process stood still for longer than its hold, which is renewed by this: the
                # attempt goes on, and a second one beside it could arrive after newer messages.
                continue
            proven = self._answered.setdefault(delivery.host, False)
            if proven or self._has_place(delivery):
                self._hosts[delivery.host] += 1
                self._users[delivery.user_id] += 1
                self._unproven[delivery.user_id] += not proven
                attempt = self._attempt(delivery, proven, begin_by)
                self._flight.begin(self._alone(delivery.id, attempt), f"relay {delivery.id}")
            else:
                surplus.append(delivery.id)
        if surplus:
            until = self._core.clock.now() + UNPROVEN_PAUSE
            await self._core.store.deliveries.postpone(self._holder, surplus, until)

    def _has_place(self, delivery: Delivery) -> bool:
        """Whether an attempt may begin at a host that is not proven."""
        begun = self._unproven.total()
        return not self._hosts[delivery.host] and (
            begun < UNPROVEN_FREELY
            or (begun < UNPROVEN_AT_ONCE and not self._unproven[delivery.user_id])
        )

    async def _alone(self, delivery_id: str, attempt: Coroutine[Any, Any, None]) -> None:
        self._sending.add(delivery_id)
        try:
            await attempt
        finally:
            self._sending.discard(delivery_id)

    async def _attempt(self, delivery: Delivery, proven: bool, begin_by: Millis) -> None:
        began = self._core.clock.now()
        try:
            made = await self._send(delivery, began, begin_by)
        finally:
            # Free before the outcome is on disk: what counts is connections, and the job's next
            # message waits for that anyway.
            self._hosts[delivery.host] -= 1
            self._users[delivery.user_id] -= 1
            self._unproven[delivery.user_id] -= not proven
            for places in (self._hosts, self._users, self._unproven):
                places += Counter()  # drops what has come to zero
            self._bell.ring()
        if made is not None:
            await self._settle(delivery, began, made)

    async def _send(self, delivery: Delivery, began: Millis, begin_by: Millis) -> Made | None:
        user = await self._core.store.keys.user(delivery.user_id)
        trace = await trace_of(self._core, delivery.job_id)
        if user is None or self._core.clock.now() > begin_by:
            return None
        headers = sign(_secrets(user, began), delivery.id, began, delivery.body)
        headers |= {"content-type": "application/json", "user-agent": "receiver"}
        with tracing.step("relay webhook", "client", trace, delivery.job_id):
            headers |= tracing.carried()
            made = await self._courier.deliver(delivery.url, headers, delivery.body, self._timeout)
            _tell(delivery, made)
        self._judge_host(delivery.host, self._core.clock.now(), made)
        return made

    async def _settle(self, delivery: Delivery, began: Millis, made: Made) -> None:
        after = after_attempt(
            made.status_code,
            made.retry_after_ms,
            delivery.step,
            self._schedule,
            self._core.clock.now(),
            self._chance(),
        )
        outcome = after.state if made.status_code or made.error is None else "no_answer"
        self._core.metrics.relay_attempts.labels(outcome).inc()
        excerpt = made.response_excerpt.decode("utf-8", "replace").replace("\0", "\ufffd")
        attempt = Attempt(
            at=began,
            status_code=made.status_code,
            error=made.error,
            duration_ms=made.duration_ms,
            excerpt=excerpt[:EXCERPT] or None,
        )
        await asyncio.shield(
            self._core.store.deliveries.settle(
                delivery.id,
                self._holder,
                attempt,
                after.state,
                after.at,
                host_off=after.address_off,
            )
        )

    def _judge_host(self, host: str, now: Millis, made: Made) -> None:
        if len(self._answered) >= HOSTS_REMEMBERED:
            self._answered.clear()
        self._answered[host] = made.status_code is not None
        if made.connect_failure:
            self._gates.setdefault(host, HostGate()).failed(now)
        else:
            self._gates.pop(host, None)


def _tell(delivery: Delivery, made: Made) -> None:
    """Tell the span of an attempt what came of it."""
    tracing.tell("receiver.delivery.id", delivery.id)
    if made.status_code is not None:
        tracing.tell("http.response.status_code", made.status_code)
        if not 200 <= made.status_code < 300:
            tracing.failed(str(made.status_code))
    elif made.error is not None:
        tracing.failed(made.error.partition(":")[0])  # the word: what follows may name an address


def _secrets(user: User, now: Millis) -> list[str]:
    """The secrets that sign: for a day after a rotation, the one before as well."""
    if user.previous_secret and user.previous_secret_until and now < user.previous_secret_until:
        return [user.secret, user.previous_secret]
    return [user.secret]
