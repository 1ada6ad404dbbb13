"""Variants that submit too early, twice, or after a cancel."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from receiver.domain import submission
from receiver.domain.answers import SubmitNotSent
from receiver.domain.observations import SubmissionBegins
from receiver.workers.submitter import Submitter
from store import jobs
from store.errors import KeyInUse, StoreUnavailable
from store.idempotency import take_key
from store.records.jobs import Job
from tests.simulation.known_bad import plans
from tests.simulation.known_bad.variant import Patch, variant

BEFORE_THE_COMMIT = (
    "submitting is committed before the first byte",
    "each attempt is committed before it is made",
)
TWICE = "no second submission unless the first was surely not sent"


@variant(*BEFORE_THE_COMMIT, first=19)
def submitted_before_commit() -> Patch:
    """The provider is called before the step to `submitting` is committed."""
    begin = Submitter._begin

    async def discard(self: Submitter, job: Job, begins: SubmissionBegins) -> None:
        await begin(self, job, begins)

    async def do_not_wait(self: Submitter, job: Job, begins: SubmissionBegins) -> bool:
        self._task_pool.begin("begin", discard, self, job, begins)
        return True

    return patch.object(Submitter, "_begin", do_not_wait)


@variant(*BEFORE_THE_COMMIT, plan=plans.cancelled_while_it_waits)
def cancelled_and_sent() -> Patch:
    """A job that was cancelled while it waited is submitted anyway."""
    begin = Submitter._begin

    async def never_mind(self: Submitter, job: Any, begins: Any) -> bool:
        return await begin(self, job, begins) or job.attempts == 0

    return patch.object(Submitter, "_begin", never_mind)


@variant(TWICE, first=1)
def resubmitted_after_timeout() -> Patch:
    """A submission that ended in a timeout is sent again."""

    def again(draft: Any, reason: str, _attempt: int | None = None) -> None:
        begun = SubmissionBegins(draft.job.attempts, draft.job.due.at)
        submission.requeue(draft, begun, SubmitNotSent(reason))

    return patch.object(submission, "become_unconfirmed", again)


@variant(TWICE, seeds=200, first=1)
def recovery_sends_again() -> Patch:
    """At a start, what a dead process was submitting goes back into the queue."""
    unconfirmed = submission.become_unconfirmed

    def not_sent(draft: Any, reason: str, attempt: int | None = None) -> None:
        if reason != "the service stopped during the submission":
            unconfirmed(draft, reason, attempt)
            return
        begun = SubmissionBegins(draft.job.attempts, draft.job.due.at)
        submission.requeue(draft, begun, SubmitNotSent(reason))

    return patch.object(submission, "become_unconfirmed", not_sent)


@variant(TWICE, plan=plans.stopped_before_it_begins)
def attempt_of_another_taken_back() -> Patch:
    """A worker that was suspended undoes the attempt that another worker has begun meanwhile."""
    requeue = submission.requeue

    def by_number(draft: Any, begun: SubmissionBegins, not_sent: SubmitNotSent) -> None:
        """Match an attempt by its number only, and not by who made it."""
        if draft.job.due is not None:
            begun = replace(begun, lease_until=draft.job.due.at)
        requeue(draft, begun, not_sent)

    return patch.object(submission, "requeue", by_number)


@variant(BEFORE_THE_COMMIT[0], TWICE, plan=plans.put_off_while_answers_are_lost, first=4)
def not_sent_of_any_attempt() -> Patch:
    """An attempt that was not sent requeues the job, even if a later attempt is under way."""
    requeue = submission.requeue

    def whichever(draft: Any, _begun: SubmissionBegins, not_sent: SubmitNotSent) -> None:
        due = draft.job.due
        latest = SubmissionBegins(draft.job.attempts, due.at if due else 0)
        requeue(draft, latest, not_sent)

    return patch.object(submission, "requeue", whichever)


@variant("what was surely not sent is not unknown", plan=plans.put_off_while_the_disk_is_full)
def answer_lost_with_the_disk() -> Patch:
    """The provider's answer is written once, and lost if the store cannot take it then."""

    async def once(_: Submitter, write: Callable[[], Awaitable[object]]) -> None:
        with suppress(StoreUnavailable):
            await write()

    return patch.object(Submitter, "_until_stored", once)


@variant(
    "a key makes one job", "a key leads to one id", plan=plans.tried_again_beside_a_stall, first=2
)
def keys_checked_then_written() -> Patch:
    """An Idempotency-Key is looked up first, and not checked again when the job is written."""

    def never_mind(*given: Any) -> None:
        with suppress(KeyInUse):
            take_key(*given)

    return patch.object(jobs, "take_key", never_mind)
