"""Variants that submit too early, twice, or after a cancel."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

from receiver.domain import submission
from receiver.domain.answers import SubmitNotSent
from receiver.domain.observations import SubmissionBegins
from receiver.engine.submitter import Submitter
from store import jobs
from store.errors import KeyInUse, StoreUnavailable
from store.records.jobs import Job
from tests.simulation.known_bad import plans
from tests.simulation.known_bad.variant import instead_of, variant

BEFORE_THE_COMMIT = (
    "submitting is committed before the first byte",
    "each attempt is committed before it is made",
)
TWICE = "no second submission unless the first was surely not sent"


@variant(*BEFORE_THE_COMMIT, first=19)
@instead_of(Submitter, "_begin")
async def submitted_before_commit(begin: Any, self: Submitter, job: Any, begins: Any) -> bool:
    """The provider is called before the step to `submitting` is committed."""
    self._task_pool.begin("begin", begin, self, job, begins)
    return True


@variant(*BEFORE_THE_COMMIT, plan=plans.cancelled_while_it_waits)
@instead_of(Submitter, "_begin")
async def cancelled_and_sent(begin: Any, self: Submitter, job: Job, begins: Any) -> bool:
    """A job that was cancelled while it waited is submitted anyway."""
    return await begin(self, job, begins) or job.attempts == 0


@variant(TWICE, first=1)
@instead_of(submission, "become_unconfirmed")
def resubmitted_after_timeout(_: Any, draft: Any, reason: str, _attempt: Any = None) -> None:
    """A submission that ended in a timeout is sent again."""
    begun = SubmissionBegins(draft.job.attempts, draft.job.due.at)
    submission.requeue(draft, begun, SubmitNotSent(reason))


@variant(TWICE, seeds=200, first=1)
@instead_of(submission, "become_unconfirmed")
def recovery_sends_again(unconfirmed: Any, draft: Any, reason: str, attempt: Any = None) -> None:
    """At a start, what a dead process was submitting goes back into the queue."""
    if reason != "the service stopped during the submission":
        unconfirmed(draft, reason, attempt)
        return
    begun = SubmissionBegins(draft.job.attempts, draft.job.due.at)
    submission.requeue(draft, begun, SubmitNotSent(reason))


@variant(TWICE, plan=plans.stopped_before_it_begins)
@instead_of(submission, "requeue")
def attempt_of_another_taken_back(
    requeue: Any, draft: Any, begun: SubmissionBegins, not_sent: SubmitNotSent
) -> None:
    """A worker that was suspended undoes the attempt that another worker has begun meanwhile."""
    if draft.job.due is not None:  # the number alone decides, and not who made the attempt
        begun = replace(begun, lease_until=draft.job.due.at)
    requeue(draft, begun, not_sent)


@variant(BEFORE_THE_COMMIT[0], TWICE, plan=plans.put_off_while_answers_are_lost)
@instead_of(submission, "requeue")
def not_sent_of_any_attempt(requeue: Any, draft: Any, _begun: Any, not_sent: Any) -> None:
    """An attempt that was not sent requeues the job, even if a later attempt is under way."""
    due = draft.job.due
    latest = SubmissionBegins(draft.job.attempts, due.at if due else 0)
    requeue(draft, latest, not_sent)


@variant("what was surely not sent is not unknown", plan=plans.put_off_while_the_disk_is_full)
@instead_of(Submitter, "_until_stored")
async def answer_lost_with_the_disk(_: Any, self: Submitter, write: Any) -> None:
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
