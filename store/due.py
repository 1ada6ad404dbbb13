"""What is due: fair looks at a lane, and leases."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

from store.changes import CommitNotice
from store.job_writer import JobWriter
from store.records.jobs import Job
from store.records.times import Lane, Lease, Millis
from store.records.transitions import Decide, Transition
from store.repository import Backend, Repository
from store.session import Session

T = TypeVar("T")
C = TypeVar("C")

ROWS_PER_LOOK: Final = 128
"""How many rows a look reads at most, so that it takes about a millisecond."""
PUT_OFF: Final[Millis] = 60_000
"""How long a job is left alone after its change failed because of a fault of ours."""


class Candidate(NamedTuple):
    """A job that is due in a lane."""

    job_id: str
    provider: str
    user_id: int
    at: Millis
    """Since when."""


Choose: TypeAlias = Callable[[Sequence[C]], Sequence[C]]
"""Gets what is due in fair order, and returns what may be taken now; the first are taken. It must
be pure and fast: it runs in the writer's thread, and again if the transaction is repeated."""


class Place(NamedTuple):
    """Where a look at a lane has stopped, and the next one goes on."""

    provider: str = ""
    user_id: int = 0
    host: str = ""
    """In the lane of webhooks, in place of the provider."""
    next_at: Millis | None = None
    """The earliest time found so far at which something is due later."""

    @property
    def earlier(self) -> list[Millis]:
        """`next_at`, if there is one."""
        return [] if self.next_at is None else [self.next_at]

    def next(self, later: Sequence[Millis], **fields: Any) -> "Place":
        """The place of the next look, after one that has also found these times."""
        return Place(**fields, next_at=min([*later, *self.earlier], default=None))


START: Final = Place()


@dataclass(frozen=True, slots=True)
class Look(Generic[C]):
    """A look at a lane: a transaction that takes what is due, users in turn."""

    lane: Lane
    now: Millis
    most: int
    """The maximum number to take."""
    choose: Choose[C]
    place: Place = START


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """What a look brought."""

    taken: list[T]
    place: Place
    """Where the next look goes on; `START` after the end of the lane."""
    has_more: bool
    """Whether due work was left, because it was not chosen."""
    next_at: Millis | None
    """When more will be due, or a lease ends. Only known at the end of the lane."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A job that a look has changed."""

    job: Job
    """The job afterwards."""
    transition: Transition | None
    error: Exception | None = None
    """Why it could not be decided; the job is as it was, and due again after `PUT_OFF`."""


class DueJobs(Repository):
    subject = "due"

    def __init__(self, backend: Backend, job_writer: JobWriter) -> None:
        super().__init__(backend)
        self._job_writer = job_writer

    async def lease(self, look: Look[Candidate], lease: Lease) -> Found[Job]:
        """Lease due jobs. A lease ends at its time, when a transition changes the job, and by
        `release`."""

        def work(db: Session, _: CommitNotice) -> Found[Job]:
            chosen, found = self._look(db, look)
            shared = {"lane": look.lane.value, "now": look.now, **asdict(lease)}
            leased = []
            for each in chosen:
                row = db.execute(self._sql["lease"], {**shared, "job_id": each.job_id}).fetchone()
                if row is not None:
                    leased.append(self._job_writer.read(db, each.job_id))
            return found(leased)

        return await self._writer.normal(work)

    async def advance(self, look: Look[Candidate], decide: Decide) -> Found[Changed]:
        """Change due jobs at once, in the transaction that chooses them."""

        def work(db: Session, notice: CommitNotice) -> Found[Changed]:
            chosen, found = self._look(db, look)
            # All jobs are locked before the first change locks its user's log, and users in the
            # order of their ids: so no two transactions wait for each other.
            ordered = sorted(chosen, key=lambda each: (each.user_id, each.job_id))
            for each in ordered:
                self._job_writer.lock(db, each.job_id)
            return found([self._advance(db, notice, look, each, decide) for each in ordered])

        return await self._writer.normal(work)

    async def release(self, holder: str, job_ids: Sequence[str]) -> None:
        """Release unused leases of `holder`; the jobs are due as before."""

        def work(db: Session, notice: CommitNotice) -> None:
            for job_id in job_ids:
                parameters = {"job_id": job_id, "holder": holder}
                for lane, at in db.execute(self._sql["release"], parameters).fetchall():
                    notice.add_due(Lane(lane), at)

        await self._writer.normal(work)

    async def postpone(self, holder: str, job_id: str, at: Millis) -> None:
        """Release an unused lease of `holder`; the job is due at `at`."""

        def work(db: Session, notice: CommitNotice) -> None:
            parameters = {"job_id": job_id, "holder": holder, "at": at}
            for (lane,) in db.execute(self._sql["postpone"], parameters).fetchall():
                notice.add_due(Lane(lane), at)

        await self._writer.normal(work)

    # --- within a transaction -------------------------------------------------------------------

    def _look(
        self, db: Session, look: Look[Candidate]
    ) -> tuple[list[Candidate], Callable[[list[T]], Found[T]]]:
        """Choose due jobs; returns them, and a function that makes the result of what was taken."""
        lane, now, place = look.lane, look.now, look.place
        db.execute(self._sql["lock-lane"], {"lane": lane.value})
        db.execute(self._sql["end-leases"], {"lane": lane.value, "now": now})
        calls = Lane.SUBMITTING.value if lane is Lane.SUBMIT else ""
        parameters = {"lane": lane.value, "calls": calls, "now": now, "share": look.most}
        parameters |= {"most": ROWS_PER_LOOK, "provider": place.provider, "user_id": place.user_id}
        rows = db.execute(self._sql["list-candidates"], parameters).fetchall()
        walked = [Candidate(*row) for row in rows]
        due = [each for each in walked if each.at <= now]
        chosen = [*look.choose(due)][: look.most]
        later = [each.at for each in walked if each.at > now]
        if len(walked) == ROWS_PER_LOOK:
            provider, user_id = max((each.provider, each.user_id) for each in walked)
            end = place.next(later, provider=provider, user_id=user_id)
        else:
            end = START

        def found(taken: list[T]) -> Found[T]:
            # Only now: the leases of this look end too.
            here = {"lane": lane.value}
            ((lease_end,),) = db.execute(self._sql["next-lease-end"], here).fetchall()
            times = [*later, *place.earlier, *filter(None, [lease_end])]
            return Found(taken, end, len(chosen) < len(due), min(times, default=None))

        return chosen, found

    def _advance(
        self,
        db: Session,
        notice: CommitNotice,
        look: Look[Candidate],
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
