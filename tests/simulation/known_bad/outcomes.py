"""Variants that misread callbacks, polls or deadlines."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

from receiver.domain import callbacks, failures, schedule
from receiver.domain.schedule import Rules
from receiver.engine.gate import Gate
from store.callbacks import Callbacks, IncomingCallback, Receipt
from store.job_writer import JobWriter
from store.records.callbacks import Verdict
from store.records.jobs import Job
from store.records.transitions import DecideCallback, Transition
from tests.simulation import machine
from tests.simulation.known_bad import plans
from tests.simulation.known_bad.variant import Patch, instead_of, variant
from tests.store.world import unchanged


@variant("an acknowledged callback is on disk", "a forgery is answered", first=1)
def acknowledged_before_commit() -> Patch:
    """A callback is answered `accepted` before its row is written."""
    receive = Callbacks.receive
    begun: list[asyncio.Future[Receipt]] = []

    async def answer_first(self: Callbacks, *given: Any) -> Receipt:
        begun.append(asyncio.ensure_future(receive(self, *given)))
        return Receipt.ACCEPTED

    return patch.object(Callbacks, "receive", answer_first)


@variant("what is accepted is applied", "a verdict is given once")
@instead_of(Callbacks, "receive")
async def applied_after_the_answer(
    receive: Any, self: Callbacks, arrival: IncomingCallback, use: DecideCallback | Verdict
) -> Receipt:
    """A callback is answered once it is stored, and applied in a transaction of its own."""
    stored: list[int] = []

    def store(callback_id: int, job: Job) -> Transition:
        stored.append(callback_id)
        return unchanged(callback_id, job)

    receipt: Receipt = await receive(self, arrival, use if isinstance(use, Verdict) else store)
    if stored and not isinstance(use, Verdict):
        change = partial(use, stored[-1])
        _ = self._writer.normal(
            lambda db, notice: self._job_writer.change(db, notice, arrival["job_id"], change)
        )
    return receipt


@variant("what cannot be applied makes a poll due", first=11)
def unusable_and_not_polled() -> Patch:
    """A callback that cannot be applied is stored, and its job is not polled for it."""
    return patch.object(JobWriter, "make_poll_due", lambda *_: None)


@variant(
    "the outcome is the provider's",
    "the link is the provider's",
    plan=plans.forged_while_it_renders,
)
@instead_of(machine, "rules")
def claims_trusted_at_once(rules: Callable[..., Rules], *given: Any) -> Rules:
    """A terminal callback is not confirmed: anybody who knows the address can end the job."""
    return replace(rules(*given), confirm_callbacks=False)


@variant("final is final, but for one correction by the provider", first=4)
def final_state_overwritten() -> Patch:
    """A late callback changes a job that is finished."""
    return patch.object(failures, "is_provisional", lambda job: job.done)


@variant("every job ends", first=2)
@instead_of(callbacks, "_postpone_poll")
def poll_row_removed_at_callback(_: Any, draft: Any, *_rest: Any) -> None:
    """A job with callbacks is no longer polled: if the next one is lost, the job never ends."""
    draft.set(due=None)


@variant("an available outcome replaces a failure that we declared", seeds=200, first=55)
def deadline_without_the_providers_word() -> Patch:
    """The deadline ends a job without a status call, and no later poll asks for its outcome."""
    return patch.object(schedule, "GRACE", 0)


@variant("the service comes to rest", plan=plans.failing_beside_a_lost_callback)
@instead_of(Gate, "succeeded")
def pause_that_no_answer_ends(_: Any, self: Gate, _keys: Any, _began: float) -> None:
    """Failures add up whatever is answered in between, and a pause never ends."""
