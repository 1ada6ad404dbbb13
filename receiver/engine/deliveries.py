"""Sends webhooks to users: signed, one in flight per job, within limits per user and host, so that
a slow or dead host delays no others."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, NamedTuple

import structlog

from receiver.engine.context import ServiceContext
from receiver.engine.failure_log import FailureLog
from receiver.engine.gate import Gate, Keys, Limit, Pauses
from receiver.engine.lanes import LEASE_SLACK, Handler, LaneTimer
from receiver.engine.messages import adds_members, whole_body
from receiver.large_bodies import LARGE
from receiver.streams.hub import Hub
from receiver.webhooks.delivery import AttemptResult, WebhookSender
from receiver.webhooks.retries import after_attempt
from receiver.webhooks.signing import secrets_of, sign
from store.lanes import Candidate
from store.records.deliveries import Attempt, Delivery
from store.records.times import Lane, Lease, Millis

ATTEMPTS_AT_ONCE: Final = 64
HOST_PAUSES: Final = Pauses(after=5, first=60.0, longest=60.0)
"""After so many connect failures in a row, a host gets one attempt a minute."""
LIMITS: Final = {
    "job": Limit(at_once=1),
    "user": Limit(at_once=16),
    "host": Limit(at_once=4, pauses=HOST_PAUSES),
}
LARGE_AT_ONCE: Final = 4
"""Messages to clients of a provider's own API whose job has more than `LARGE` bytes: each can be
megabytes."""

log = structlog.get_logger()


class Message(NamedTuple):
    """A leased message."""

    delivery: Delivery
    begin_by: Millis
    """An attempt that begins later could outlast the lease."""
    taken: float
    """Monotonic time of the taking."""

    @property
    def id(self) -> str:
        return self.delivery.id


def _keys(each: Candidate | Delivery) -> Keys:
    host = each.host if isinstance(each, Delivery) else each.peer
    return ("job", each.job_id), ("user", each.user_id), ("host", host)


class WebhookDeliveries(Handler[Message]):
    """The lane of webhook messages."""

    name = "deliveries"
    drain_seconds = 5.0

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
        self._timer = LaneTimer(services.clock, hub, Lane.DELIVER)
        super().__init__(ATTEMPTS_AT_ONCE, [self._timer])
        self._services = services
        self._sender = sender
        self._schedule = schedule
        self._timeout = timeout
        self._jitter = jitter
        self._gate = Gate(services.clock, LIMITS)
        self._failures = FailureLog(services.clock, "webhooks", "host")
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)
        services.metrics.relay_host_breakers_open.set_function(self._paused_hosts)

    # --- taking -----------------------------------------------------------------------------------

    async def take(self, free: int, running: Mapping[str, Message]) -> Sequence[Message]:
        """Lease messages that are due, within the limits."""
        now, view = (
            self._services.clock.now(),
            self._gate.view(_keys(message.delivery) for message in running.values()),
        )
        until = now + round(self._timeout * 1_000) + LEASE_SLACK
        lease = Lease(self._services.holder, until)
        outbox, choose = self._services.store.outbox, partial(view.choose, _keys)
        found = await self._timer.look(lambda look: outbox.lease(look, lease), free, choose)
        for each in found.taken:
            self._gate.began(_keys(each), view.at)
        # As of the view: a pause may have ended since.
        if found.has_more and (pauses := view.pauses_left()):
            self._timer.look_after(min(pauses))
        return [Message(each, now + LEASE_SLACK, view.at) for each in found.taken]

    def _paused_hosts(self) -> float:
        return len(self._gate.view().pauses_left())

    def paused_until(self, host: str) -> Millis | None:
        """When this process sends the host its next probe, or now if that is due or under way; None
        if the host is not paused."""
        clock, throttle = self._services.clock, self._gate.throttle(("host", host))
        if throttle.until is None:
            return None
        return clock.now() + round(throttle.seconds_left(clock.monotonic()) * 1_000)

    def answered(self, host: str) -> None:
        """A test message to this host was answered: it gets its messages without waiting for a
        probe."""
        self._gate.succeeded([("host", host)], self._services.clock.monotonic())
        self._timer.look_at(0)

    def requested(self, hosts: Iterable[str]) -> None:
        """Somebody asked for messages to these hosts now: a host in a pause gets its probe now."""
        for host in hosts:
            self._gate.probe_now(("host", host))
        self._timer.look_at(0)

    # --- one attempt ------------------------------------------------------------------------------

    async def handle(self, work: Message) -> None:
        try:
            await self._attempt(work)
        finally:
            self._gate.abandoned(_keys(work.delivery), work.taken)

    async def _attempt(self, work: Message) -> None:
        delivery, clock = work.delivery, self._services.clock
        began = clock.now()
        user = await self._services.store.keys.user(delivery.user_id)
        # After a suspension the message may be another process's: it is due when its lease ends.
        async with self._room_for(delivery):
            if user is None or clock.now() > work.begin_by:
                return
            body = await whole_body(self._services, delivery)
            headers = sign(secrets_of(user, began), delivery.id, began, body)
            sent = await self._sender.deliver(delivery.url, headers, body, self._timeout)
        if sent.status_code is not None and 200 <= sent.status_code < 300:
            self._failures.succeeded(delivery.host)
        else:
            self._failures.failed(delivery.host, sent.error or f"HTTP {sent.status_code}")
        if sent.connect_failure:
            self._gate.failed(_keys(delivery), work.taken)
        else:
            self._gate.succeeded(_keys(delivery), work.taken)
        await self._settle(delivery, began, sent)

    @asynccontextmanager
    async def _room_for(self, delivery: Delivery) -> AsyncIterator[None]:
        """Room for a body that can have the whole input and result of its job."""
        jobs = self._services.store.jobs
        if (
            not adds_members(self._services, delivery)
            or await jobs.stored_bytes_of(delivery.job_id) <= LARGE
        ):
            yield
        else:
            async with self._large:
                yield

    async def release(self, works: Sequence[Message]) -> None:
        await self._services.store.outbox.release(self._services.holder)

    async def _settle(self, delivery: Delivery, began: Millis, sent: AttemptResult) -> None:
        now, step = self._services.clock.now(), delivery.step
        state, next_at = after_attempt(
            sent.status_code, sent.retry_after_ms, step, self._schedule, now, self._jitter()
        )
        outcome = state if sent.error is None else "no_answer"
        self._services.metrics.relay_attempts.labels(outcome).inc()
        attempt = Attempt(began, sent.status_code, sent.error, sent.duration_ms, sent.excerpt)
        await self._services.store.outbox.settle(
            delivery.id, self._services.holder, attempt, state, next_at
        )
