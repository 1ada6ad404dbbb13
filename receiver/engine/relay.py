"""Sends webhooks to users (here called relay messages): signed, one in flight per job, without slow
hosts delaying others."""

from collections.abc import Callable, Sequence
from functools import partial

from receiver.domain.relay import KnownHosts, after_attempt
from receiver.engine.context import ServiceContext
from receiver.engine.relay_slots import ATTEMPTS_AT_ONCE, InFlight, Slots
from receiver.engine.worker import LEASE_SLACK, TaskPool
from receiver.streams.hub import Hub, Subscription
from receiver.webhooks.delivery import AttemptResult, WebhookSender
from receiver.webhooks.signing import secrets_of, sign
from store.changes import CommitNotice
from store.records.deliveries import Attempt, Delivery
from store.records.times import Millis

UNPROVEN_PER_PASS = 8
UNPROVEN_AFTER = 0.025
"""Delay in seconds of attempts at unproven hosts, so that the pass's other attempts go first."""
RELAY_DRAIN_SECONDS = 5.0
RELAY_LOOK_SECONDS = 0.5


class Relay:
    """The worker behind `webhookUrl`."""

    name = "relay"

    def __init__(
        self,
        services: ServiceContext,
        hub: Hub,
        sender: WebhookSender,
        *,
        schedule: Sequence[Millis],
        timeout: float,
        jitter: Callable[[], float],
    ) -> None:
        """`timeout` of one attempt is in seconds; `jitter` returns numbers from 0 to 1."""
        self._services = services
        self._subscription = Subscription()
        hub.add_commit_listener(self._on_commit)
        hub.add_foreign_listener(self._subscription.notify)
        self._sender = sender
        self._schedule = schedule
        self._timeout = timeout
        self._jitter = jitter
        self._task_pool = TaskPool(ATTEMPTS_AT_ONCE)
        self._in_flight = InFlight()
        self._known = KnownHosts()
        self._unproven_at: float | None = None
        """Monotonic time of the next attempts at unproven hosts."""

    async def run_once(self) -> int:
        """Start the attempts that are due and have a free slot. If they take all that are free,
        returns how many: there may be more due. Otherwise returns 0.

        Messages without a slot are started when an attempt ends, which notifies.
        """
        now, moment = self._services.clock.now(), self._services.clock.monotonic()
        self._known.forget_stale(moment)
        self._services.metrics.relay_host_breakers_open.set(len(self._known.throttled))
        free = self._task_pool.free
        if not free:
            return 0
        # Only a few unproven hosts at a time, after the others: failing attempts cost time too.
        is_time = self._unproven_at is not None and moment >= self._unproven_at
        few = UNPROVEN_PER_PASS if is_time else 0
        slots = partial(Slots, self._in_flight, self._known, moment, free, few)
        until = now + int(self._timeout * 1_000) + LEASE_SLACK
        leased, left = await self._services.store.deliveries.lease(
            now, until, self._services.holder, slots
        )
        # After a suspension longer than the slack, the lease would end before the attempt.
        self._begin(leased, now + LEASE_SLACK)
        if not left.passed_over:
            self._unproven_at = None
        elif is_time or self._unproven_at is None:
            self._unproven_at = moment + UNPROVEN_AFTER
        return len(leased) if len(leased) == free else 0

    async def idle(self) -> None:
        due = await self._services.store.deliveries.next_due()
        now, waits = self._services.clock.now(), [RELAY_LOOK_SECONDS]
        # Due messages that were not leased wait for a slot, and the end of an attempt notifies.
        if due is not None and due > now:
            waits.append((due - now) / 1_000)
        if self._unproven_at is not None:
            # At least a millisecond: less may round to nothing.
            waits.append(max(self._unproven_at - self._services.clock.monotonic(), 0.001))
        await self._subscription.wait(min(waits))

    async def stop(self) -> None:
        """Let the attempts in flight finish within `RELAY_DRAIN_SECONDS`, then cancel the rest, and
        release their messages."""
        await self._task_pool.drain(RELAY_DRAIN_SECONDS)
        await self._services.store.deliveries.release(self._services.holder)

    def _on_commit(self, changes: CommitNotice) -> None:
        if changes.relay:
            self._subscription.notify()

    def _begin(self, leased: Sequence[Delivery], begin_by: Millis) -> None:
        for delivery in leased:
            name = f"relay {delivery.id}"
            if self._task_pool.is_running(name):
                # Leasing it again has only renewed its lease. A second attempt could arrive after
                # newer messages.
                continue
            proven = self._known.answers(delivery.user_id, delivery.host)
            self._in_flight.begin(delivery.user_id, delivery.host, proven=proven)
            self._task_pool.begin(name, self._attempt, delivery, proven, begin_by)

    async def _attempt(self, delivery: Delivery, proven: bool, begin_by: Millis) -> None:
        began = self._services.clock.now()
        try:
            sent = await self._send(delivery, began, begin_by)
        finally:
            # Free the slot before the result is on disk: slots limit connections, and the job's
            # next message waits for the write anyway.
            self._in_flight.end(delivery.user_id, delivery.host, proven=proven)
            self._subscription.notify()
        if sent is not None:
            await self._settle(delivery, began, sent)

    async def _send(
        self, delivery: Delivery, began: Millis, begin_by: Millis
    ) -> AttemptResult | None:
        """Make the attempt. None if it was not made: there is no such user, or it would begin so
        late that its lease could end first. Then the message is due again when the lease ends."""
        user = await self._services.store.keys.user(delivery.user_id)
        if user is None or self._services.clock.now() > begin_by:
            return None
        headers = sign(secrets_of(user, began), delivery.id, began, delivery.body)
        sent = await self._sender.deliver(delivery.url, headers, delivery.body, self._timeout)
        self._known.record_attempt(
            delivery.user_id,
            delivery.host,
            self._services.clock.monotonic(),
            answered=sent.status_code is not None,
            connected=not sent.connect_failure,
        )
        return sent

    async def _settle(self, delivery: Delivery, began: Millis, sent: AttemptResult) -> None:
        now, step = self._services.clock.now(), delivery.step
        state, next_at = after_attempt(
            sent.status_code, sent.retry_after_ms, step, self._schedule, now, self._jitter()
        )
        outcome = state if sent.error is None else "no_answer"
        self._services.metrics.relay_attempts.labels(outcome).inc()
        attempt = Attempt(began, sent.status_code, sent.error, sent.duration_ms, sent.excerpt)
        await self._services.store.deliveries.settle(
            delivery.id, self._services.holder, attempt, state, next_at
        )
