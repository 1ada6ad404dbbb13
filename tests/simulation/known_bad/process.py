"""Variants that shut down badly, or that starve some work while they do other work."""

from typing import Any

from receiver.domain.observations import SubmissionEnded
from receiver.engine.lanes import LaneTimer
from receiver.engine.submissions import Submissions
from receiver.engine.supervisor import Supervisor, Worker
from store.changes import CommitNotice
from store.group_commit import GroupCommitWriter, Member
from store.sqlite import batches
from tests.simulation.known_bad import plans
from tests.simulation.known_bad.variant import instead_of, variant


@variant(
    "SIGTERM ends it cleanly",
    "nothing unexpected is logged",
    plan=plans.stopped_as_it_sends_with_a_full_disk,
)
@instead_of(Supervisor, "_stop")
async def stop_ends_at_the_first_error(_: Any, self: Supervisor, worker: Worker) -> None:
    """At SIGTERM, one worker's trouble with the store stops the shutdown of all."""
    await worker.stop()


@variant("SIGTERM ends it within ten seconds", plan=plans.stopped_with_a_full_disk, first=1)
@instead_of(Submissions, "_report_once")
async def stop_waits_for_the_disk(_: Any, self: Submissions, attempt: Any, answer: Any) -> None:
    """At SIGTERM, a submission's outcome is retried until the store can take it."""
    await self._report(attempt.job.id, SubmissionEnded(attempt.begun, answer))


@variant("nothing unexpected is logged", first=8)
@instead_of(batches, "_run_member")
def member_fails_its_batch(_: Any, connection: Any, notice: CommitNotice, member: Member) -> None:
    """An error of one unit of work fails all that share its transaction."""
    member.run(connection)
    notice.add(member.notice)


@variant("the service comes to rest", first=1)
@instead_of(LaneTimer, "_on_commit")
def commits_not_noticed(_: Any, self: LaneTimer, notice: Any) -> None:
    """A worker does not look when a commit makes something due."""


@variant(
    "no work waits for a second while other work is served",
    plan=plans.flooded_while_jobs_end,
)
@instead_of(GroupCommitWriter, "_take")
def background_last(take: Any, self: Any, urgent: int, normal: int) -> object:
    """The engine's writes run only while no client's write waits."""
    return take(self, urgent, 0 if self._urgent else normal)
