"""Sends relay messages: leased, signed, one in flight a job, and no host in another one's way."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from receiver.actions.core import Core
from receiver.domain.relay import HostGate, after_attempt
from receiver.streams.hub import Hub, Queue
from receiver.webhooks.delivery import Courier
from receiver.webhooks.signing import sign
from receiver.workers.worker import Flight
from store.records import Attempt, Delivery, Millis, User

AT_ONCE = 64
PER_USER = 16
PER_HOST = 4
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
        self._hosts: Counter[str] = Counter()
        self._users: Counter[int] = Counter()
        self._gates: dict[str, HostGate] = {}

    async def run_once(self) -> int:
        """Begin the attempts that are due and have a free place; how many."""
        if not self._flight.free:
            return 0
        now = self._core.clock.now()
        busy = Counter(self._hosts)
        for host, gate in self._gates.items():
            busy[host] = max(busy[host], busy[host] + PER_HOST - gate.places(now, PER_HOST))
        leased = await self._core.store.deliveries.lease(
            now,
            now + int(self._timeout * 1_000) + LEASE_SLACK,
            self._holder,
            limit=self._flight.free,
            per_host=PER_HOST,
            per_user=PER_USER,
            busy_hosts=busy,
            busy_users=self._users,
        )
        for delivery in leased:
            self._hosts[delivery.host] += 1
            self._users[delivery.user_id] += 1
            self._flight.begin(self._attempt(delivery), f"relay {delivery.id}")
        self._core.metrics.relay_hosts_open.set(sum(gate.held for gate in self._gates.values()))
        return len(leased)

    async def idle(self) -> None:
        due = await self._core.store.deliveries.next_due()
        now = self._core.clock.now()
        # What is due and was not taken waits for a place, and an attempt that ends rings.
        ahead = due is not None and due > now
        seconds = (due - now) / 1_000 if ahead and due is not None else SAFETY_SECONDS
        await self._bell.wait(min(seconds, SAFETY_SECONDS))

    async def stop(self) -> None:
        """Give attempts in flight their time, and the others back."""
        await self._flight.drain(DRAIN_SECONDS)
        await self._core.store.deliveries.release(self._holder)

    async def drain(self) -> None:
        """Wait for every attempt that has begun."""
        await self._flight.drain()

    async def _attempt(self, delivery: Delivery) -> None:
        try:
            user = await self._core.store.keys.user(delivery.user_id)
            if user is not None:
                await self._send(delivery, user)
        finally:
            self._hosts[delivery.host] -= 1
            self._users[delivery.user_id] -= 1
            self._hosts += Counter()  # drops what has come to zero
            self._users += Counter()
            self._bell.ring()

    async def _send(self, delivery: Delivery, user: User) -> None:
        began = self._core.clock.now()
        headers = sign(_secrets(user, began), delivery.id, began, delivery.body)
        headers |= {"content-type": "application/json", "user-agent": "receiver"}
        made = await self._courier.deliver(delivery.url, headers, delivery.body, self._timeout)

        now = self._core.clock.now()
        self._judge_host(delivery.host, now, made.connect_failure)
        after = after_attempt(
            made.status_code,
            made.retry_after_ms,
            delivery.step,
            self._schedule,
            now,
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

    def _judge_host(self, host: str, now: Millis, connect_failure: bool) -> None:
        if connect_failure:
            self._gates.setdefault(host, HostGate()).failed(now)
        else:
            self._gates.pop(host, None)


def _secrets(user: User, now: Millis) -> list[str]:
    """The secrets that sign: for a day after a rotation, the one before as well."""
    if user.previous_secret and user.previous_secret_until and now < user.previous_secret_until:
        return [user.secret, user.previous_secret]
    return [user.secret]
