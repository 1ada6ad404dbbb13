"""The jobs that are due in lanes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from store.changes import CommitNotice
from store.job_writer import JobWriter
from store.lanes import Candidate, Found, LaneTable, Look, by_job
from store.records.jobs import Job
from store.records.times import Lane, Lease, Millis
from store.records.transitions import Decide, Transition
from store.repository import Backend
from store.session import Parameters, Session

PUT_OFF: Final[Millis] = 60_000
"""How long a job is left alone after its change failed because of a fault of ours."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A job that a look has changed."""

    job: Job
    """The job afterwards."""
    transition: Transition | None
    error: Exception | None = None
    """Why it could not be decided; the job is as it was, and due again after `PUT_OFF`."""


class DueJobs(LaneTable[Job]):
    """The jobs that are due. A lease ends at its time, when a transition changes the job, and by
    `release`."""

    subject = "due"

    def __init__(self, backend: Backend, job_writer: JobWriter) -> None:
        super().__init__(backend)
        self._job_writer = job_writer

    async def advance(self, look: Look, decide: Decide) -> Found[Changed]:
        """Change due jobs at once, in the transaction that chooses them."""

        def work(db: Session, notice: CommitNotice) -> Found[Changed]:
            def take(chosen: Sequence[Candidate]) -> list[Changed]:
                ordered = sorted(chosen, key=by_job)
                return [self._advance(db, notice, look, each, decide) for each in ordered]

            return self._look(db, look, take)

        return await self._writer.normal(work)

    async def release(self, holder: str, jobs: Sequence[Job]) -> None:
        """Release unused leases of `holder`, of jobs as `lease` returned them; they are due as
        before. One that has changed since may be leased in another lane: that lease stays."""

        def work(db: Session, notice: CommitNotice) -> None:
            for job in jobs:
                for lane, at in db.execute(self._sql["release"], _lease_of(job, holder)).fetchall():
                    notice.add_due(Lane(lane), at)

        await self._writer.normal(work)

    async def postpone(self, holder: str, job: Job, at: Millis) -> None:
        """Release an unused lease likewise; the job is due at `at`."""

        def work(db: Session, notice: CommitNotice) -> None:
            parameters = {**_lease_of(job, holder), "at": at}
            for (lane,) in db.execute(self._sql["postpone"], parameters).fetchall():
                notice.add_due(Lane(lane), at)

        await self._writer.normal(work)

    # --- within a transaction -------------------------------------------------------------------

    def _end_leases(self, db: Session, here: Parameters) -> None:
        db.execute(self._sql["end-leases"], here)

    def _lease(
        self, db: Session, look: Look, lease: Lease, chosen: Sequence[Candidate]
    ) -> list[Job]:
        shared = {"lane": look.lane.value, "now": look.now, **asdict(lease)}
        leased = dict[str, Job]()
        for job_id in sorted(each.job_id for each in chosen):
            row = db.execute(self._sql["lease"], {**shared, "job_id": job_id}).fetchone()
            if row is not None:
                leased[job_id] = self._job_writer.read(db, job_id)
        return [leased[each.job_id] for each in chosen if each.job_id in leased]

    def _advance(
        self,
        db: Session,
        notice: CommitNotice,
        look: Look,
        each: Candidate,
        decide: Decide,
    ) -> Changed:
        """Change one job. An error of `decide` must not stop the whole lane: the job is put off."""
        failed: list[Exception] = []

        def guarded(job: Job) -> Transition | None:
            try:
                return decide(job)
            except Exception as error:  # noqa: BLE001 - reported with the job
                failed.append(error)
                return None

        job, transition = self._job_writer.change(db, notice, each.job_id, guarded)
        if transition is None:
            times = {"now": look.now, "at": look.now + PUT_OFF}
            here = {"job_id": each.job_id, "lane": look.lane.value}
            db.execute(self._sql["put-off"], {**here, **times})
            notice.add_due(look.lane, look.now + PUT_OFF)
        return Changed(job, transition, failed[0] if failed else None)


def _lease_of(job: Job, holder: str) -> dict[str, str]:
    """Which lease it is: a job that changes can be leased again, by the same holder too."""
    assert job.due is not None
    return {"job_id": job.id, "lane": job.due.lane.value, "holder": holder}
