"""Variants whose webhooks are lost, doubled, out of order or signed wrongly."""

import json
from typing import Any
from unittest.mock import patch

from receiver.engine import deliveries
from receiver.engine.deliveries import Message, WebhookDeliveries
from receiver.engine.gate import Gate
from store.callbacks import Callbacks, IncomingCallback, Receipt
from store.job_writer import JobWriter
from store.jobs import Jobs
from store.records.callbacks import Verdict
from store.records.deliveries import Attempt, DeliveryState
from store.records.jobs import Job
from store.records.transitions import DecideCallback, Transition
from tests.simulation.known_bad import plans
from tests.simulation.known_bad.variant import Patch, instead_of, together, variant, with_sql

ONE_AT_A_TIME = "one attempt at a time for a job"
IN_ORDER = "relays come in their job's order"


@variant("one relay message for each event asked for")
def relay_in_a_second_transaction() -> Patch:
    """The relay message is written after the change that caused it, in its own transaction."""
    advance, receive, enqueue = Jobs.advance, Callbacks.receive, JobWriter._enqueue

    async def then_enqueue(store: Jobs | Callbacks, transition: Transition | None) -> None:
        if transition is not None and (message := transition.relay) is not None:
            await store._writer.normal(
                lambda db, notice: enqueue(store._job_writer, db, notice, transition.job, message)
            )

    async def advance_first(self: Jobs, *given: Any, **named: Any) -> tuple[Job, Transition | None]:
        job, transition = await advance(self, *given, **named)
        await then_enqueue(self, transition)
        return job, transition

    async def receive_first(
        self: Callbacks, arrival: IncomingCallback, use: DecideCallback | Verdict
    ) -> Receipt:
        made: list[Transition | None] = [None]

        def decide(callback_id: int, job: Job) -> Transition | None:
            assert not isinstance(use, Verdict)
            made.append(use(callback_id, job))
            return made[-1]

        receipt = await receive(self, arrival, use if isinstance(use, Verdict) else decide)
        await then_enqueue(self, made[-1])
        return receipt

    return together(
        patch.object(Jobs, "advance", advance_first),
        patch.object(Callbacks, "receive", receive_first),
        patch.object(JobWriter, "_enqueue", lambda *_: None),
    )


@variant("what is called delivered has arrived", ONE_AT_A_TIME, first=7)
@instead_of(WebhookDeliveries, "handle")
async def relay_settled_before_it_is_sent(
    handle: Any, self: WebhookDeliveries, work: Message
) -> None:
    """A relay message counts as delivered when its attempt begins: a crash then loses it."""
    attempt = Attempt(self._services.clock.now(), 200, None, 0, None)
    await self._services.store.outbox.settle(
        work.delivery.id, self._services.holder, attempt, DeliveryState.DELIVERED, None
    )
    await handle(self, work)


@variant(ONE_AT_A_TIME, IN_ORDER, plan=plans.two_processes_and_a_slow_sink)
def lease_of_another_ignored() -> Patch:
    """A relay message is leased while another process sends it, or an older one of its job."""
    return together(
        with_sql("deliveries", "list-ended", "AND held_until <= :now", ""),
        with_sql("deliveries", "end-lease", "AND held_until <= :now", ""),
        with_sql("deliveries", "list-candidates", "(other.holder IS NOT NULL\n", "(FALSE\n"),
    )


@variant("a delivery's end is its end", plan=plans.stalled_while_it_sends, first=1)
def lost_lease_ignored() -> Patch:
    """A relay attempt's result is stored although another process holds the lease by now."""
    return with_sql("deliveries", "settle", " AND holder = :holder", "")


@variant(IN_ORDER, plan=plans.paused_between_lease_and_sending, seeds=200, first=8)
@instead_of(WebhookDeliveries, "handle")
async def sent_after_the_lease(handle: Any, self: WebhookDeliveries, work: Message) -> None:
    """A process that was suspended sends what it had leased, although the lease has expired."""
    await handle(self, work._replace(begin_by=2**62))


@variant(IN_ORDER, plan=plans.paused_as_they_send, first=8)
@instead_of(Gate, "view")
def second_attempt_beside_the_first(view: Any, self: Gate, _under_way: Any = ()) -> object:
    """After a long pause, a process leases a message again that it is itself still sending."""
    return view(self)


@variant("410 turns the address off for a job", plan=plans.gone_as_they_render)
def gone_for_one_message() -> Patch:
    """A 410 ends only that message: the job's other messages are still sent."""
    return together(
        with_sql("deliveries", "turn-off", "= TRUE", "= webhook_off"),
        with_sql("deliveries", "disable-waiting", "'pending'", "'none'"),
    )


@variant("a relay is signed")
@instead_of(deliveries, "sign")
def signed_other_bytes(sign: Any, secrets: Any, message_id: str, at: int, body: bytes) -> object:
    """The signature is of the body serialized anew, not of the bytes that are sent."""
    return sign(secrets, message_id, at, json.dumps(json.loads(body)).encode())
