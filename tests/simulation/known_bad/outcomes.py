"""Variants that misread callbacks, polls or deadlines."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from receiver.domain import callbacks, outcomes, polls, schedule, serialization
from receiver.domain.probe_queue import ProbeQueue
from receiver.domain.schedule import Rules
from receiver.settings import ServeSettings
from store.callbacks import Applied, Callbacks, Receipt
from store.records.callbacks import Callback
from tests.simulation import machine
from tests.simulation.known_bad import plans
from tests.simulation.known_bad.variant import Patch, instead_of, together, variant


@variant("an acknowledged callback is on disk", "a forgery is answered", first=1)
def acknowledged_before_commit() -> Patch:
    """A callback is answered `accepted` before its row is written."""
    receive = Callbacks.receive
    begun: list[asyncio.Future[Receipt]] = []

    async def answer_first(self: Callbacks, *given: Any, **named: Any) -> Receipt:
        begun.append(asyncio.ensure_future(receive(self, *given, **named)))
        return Receipt.ACCEPTED

    return patch.object(Callbacks, "receive", answer_first)


@variant("a verdict is given once", plan=plans.stalled_while_it_applies, seeds=100, first=6)
@instead_of(Callbacks, "apply")
async def callback_applied_twice(
    apply: Any, self: Callbacks, job_id: str, decide: Any, **named: Any
) -> object:
    """Two workers that have read the same callback both apply it."""
    seen: list[Callback] = []
    looked = await apply(self, job_id, lambda _, callbacks: seen.extend(callbacks), **named)
    if not seen:
        return looked
    return await self._writer.normal(
        lambda db, notice: Applied(
            *self._job_writer.change(
                db, notice, job_id, lambda job: decide(job, seen), named["lease"]
            ),
            has_more=False,
        )
    )


@variant(
    "the outcome is the provider's",
    "the link is the provider's",
    plan=plans.forged_while_it_renders,
)
@instead_of(machine, "rules")
def claims_trusted_at_once(
    rules: Callable[[ServeSettings], Rules], settings: ServeSettings
) -> Rules:
    """A terminal callback is not confirmed: anybody who knows the address can end the job."""
    return replace(rules(settings), confirm_callbacks=False)


@variant("a claim is trusted only where nobody answers", plan=plans.forged_in_an_outage)
@instead_of(polls, "retry_confirmation")
def claim_trusted_at_the_first_failure(_: Any, draft: Any, _retry_after: Any) -> None:
    """If one status call fails, the claim that it was to confirm is trusted."""
    callbacks.trust_claim(draft)


@variant("final is final, but for one correction by the provider", first=30)
def final_state_overwritten() -> Patch:
    """A late callback changes a job that is finished."""
    return patch.object(serialization, "is_self_declared", lambda job: job.done)


@variant("progress never falls", plan=plans.progress_that_falls)
@instead_of(outcomes, "apply_progress")
def progress_taken_as_it_comes(apply: Any, draft: Any, report: Any, evidence: Any) -> None:
    """Progress is whatever was reported last, even if it falls."""
    if report.progress is not None:
        draft.job = replace(draft.job, progress=0.0)
    apply(draft, report, evidence)


@variant("every job ends", first=2)
@instead_of(callbacks, "_postpone_poll")
def poll_row_removed_at_callback(_: Any, draft: Any, *_rest: Any) -> None:
    """A job with callbacks is no longer polled: if the next one is lost, the job never ends."""
    draft.set(due=None)


@variant("an available outcome replaces a failure that we declared", seeds=200, first=55)
def deadline_without_the_providers_word() -> Patch:
    """The deadline ends a job without a status call, and no later poll asks for its outcome."""
    return patch.object(schedule, "GRACE", 0)


@variant("an available outcome is reported in time", plan=plans.failing_beside_a_lost_callback)
def probed_by_the_same_job() -> Patch:
    """Every failure counts for the breaker, and the job that failed first is always the probe."""

    def the_same(self: ProbeQueue, now: float) -> str | None:
        self._next = next(iter(self._failing), None)
        return self._next

    def counted(self: ProbeQueue, job_id: str) -> bool:
        self._failing.setdefault(job_id, 0)
        return True

    return together(
        patch.object(ProbeQueue, "failed", counted), patch.object(ProbeQueue, "take_next", the_same)
    )


@variant("a job is lost after five misses in ten minutes", plan=plans.unknown_for_a_while)
def lost_at_the_first_404() -> Patch:
    """A single 404 from a status call makes a job count as lost."""
    return patch.object(polls, "_is_lost", lambda *_: True)


@variant(
    "a job is lost after five misses in ten minutes",
    plan=plans.unknown_while_answers_are_lost,
    first=1,
)
def answer_counted_again() -> Patch:
    """An answer that is reported again, because its commit's own answer was lost, counts again."""
    return patch.object(polls, "_is_outcome_of", lambda *_: True)
