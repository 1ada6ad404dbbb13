"""Variants that submit too early, twice, or after a cancel."""

import asyncio
from contextlib import suppress
from typing import Any
from unittest.mock import patch

from receiver.domain import submission
from receiver.domain.answers import SubmitNotSent
from receiver.domain.observations import SubmissionBegins
from receiver.engine import submissions
from store import jobs
from store.due import Changed, DueJobs
from store.errors import KeyInUse, StoreUnavailable
from store.job_reads import JobReads
from store.lanes import Found, Look
from store.records.times import Lane, Lease
from store.records.transitions import Decide
from tests.simulation.known_bad import plans
from tests.simulation.known_bad.variant import Patch, instead_of, together, variant

BEFORE_THE_COMMIT = (
    "submitting is committed before the first byte",
    "each attempt is committed before it is made",
)
TWICE = "no second submission unless the first was surely not sent"


@variant(*BEFORE_THE_COMMIT, first=19)
def submitted_before_commit() -> Patch:
    """The provider is called before the step to `submitting` is committed."""
    return together(_sent_at_once(), patch.object(JobReads, "input_to_send", JobReads.input_of))


@instead_of(DueJobs, "advance")
async def _sent_at_once(advance: Any, self: DueJobs, look: Look, decide: Decide) -> Found[Changed]:
    if look.lane is not Lane.SUBMIT:
        found: Found[Changed] = await advance(self, look, decide)
        return found
    leased = await self.lease(look, Lease("nobody", look.now + 60_000))
    writing = [self._writer.normal(_written(self, job.id, decide)) for job in leased.taken]
    begun.update(map(asyncio.ensure_future, writing))
    taken = [
        Changed(transition.job, transition)
        for job in leased.taken
        if (transition := decide(job)) is not None
    ]
    return Found(taken, leased.bookmark, leased.has_more, leased.next_at)


begun = set[asyncio.Future[Any]]()
"""Keeps the writes of `submitted_before_commit` until they end."""


def _written(due: DueJobs, job_id: str, decide: Decide) -> Any:
    return lambda db, notice: due._job_writer.change(db, notice, job_id, decide)


@variant(TWICE, first=1)
@instead_of(submission, "mark_unconfirmed")
def resubmitted_after_timeout(_: Any, draft: Any, reason: str, _attempt: Any = None) -> None:
    """A submission that ended in a timeout is sent again."""
    begun = SubmissionBegins(draft.job.attempts, draft.job.due.at)
    submission.requeue(draft, begun, SubmitNotSent(reason))


@variant(TWICE, seeds=200, first=1)
@instead_of(submission, "mark_unconfirmed")
def recovery_sends_again(unconfirmed: Any, draft: Any, reason: str, attempt: Any = None) -> None:
    """At a start, what a dead process was submitting goes back into the queue."""
    if reason != "the service stopped during the submission":
        unconfirmed(draft, reason, attempt)
        return
    begun = SubmissionBegins(draft.job.attempts, draft.job.due.at)
    submission.requeue(draft, begun, SubmitNotSent(reason))


@variant(BEFORE_THE_COMMIT[0], TWICE, plan=plans.put_off_while_answers_are_lost, first=11)
@instead_of(submission, "requeue")
def not_sent_of_any_attempt(requeue: Any, draft: Any, _begun: Any, not_sent: Any) -> None:
    """An attempt that was not sent requeues the job, even if a later attempt is under way."""
    due = draft.job.due
    latest = SubmissionBegins(draft.job.attempts, due.at if due else 0)
    requeue(draft, latest, not_sent)


@variant("what was surely not sent is not unknown", plan=plans.put_off_while_the_disk_is_full)
@instead_of(submissions, "retry_until_stored")
async def answer_lost_with_the_disk(_: Any, _clock: Any, _what: str, write: Any) -> None:
    """The provider's answer is written once, and lost if the store cannot take it then."""
    with suppress(StoreUnavailable):
        await write()


@variant(
    "a key makes one job", "a key leads to one id", plan=plans.tried_again_beside_a_stall, first=2
)
@instead_of(jobs, "take_key")
def keys_checked_then_written(take_key: Any, *given: Any) -> None:
    """An Idempotency-Key is looked up first, and not checked again when the job is written."""
    with suppress(KeyInUse):
        take_key(*given)
