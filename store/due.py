"""What is due: fair looks at a lane, and leases."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from heapq import merge
from operator import attrgetter
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
    rank: int
    """Which number in flight it would be for its user."""
    batch: bool
    """Whether it has to let normal jobs go first. Only known at a provider with a limit."""


Choose: TypeAlias = Callable[[Sequence[C]], Sequence[C]]
"""Gets what is due in fair order, and returns what may be taken now; the first are taken. It must
be pure and fast: it runs in the writer's thread, and again if the transaction is repeated."""


class Place(NamedTuple):
    """Where a look at a lane has stopped, and the next one goes on."""

    provider: str = ""
    user_id: int = 0
    batch: bool = False
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
    limits: Mapping[str, int] = field(default_factory=dict)
    """The maximum number of jobs in flight at each provider that has one; only for
    `Lane.SUBMIT`."""


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
    full: frozenset[str] = frozenset()
    """The providers at which jobs were left for want of a place."""


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
        self._places = backend.statements.load("places")

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

    def _look(
        self, db: Session, look: Look[Candidate]
    ) -> tuple[list[Candidate], Callable[[list[T]], Found[T]]]:
        """Choose due jobs; returns them, and a function that makes the result of what was taken."""
        lane, now, place = look.lane, look.now, look.place
        db.execute(self._sql["lock-lane"], {"lane": lane.value})
        db.execute(self._sql["end-leases"], {"lane": lane.value, "now": now})
        walked = self._walk(db, look)
        free, full = self._count_places(db, look)
        others = [each for each in walked if each.provider not in free]
        lists = [others, *(self._list_waiting(db, look, *each) for each in free.items())]
        due = [*merge(*([c for c in each if c.at <= now] for each in lists), key=_rank)]
        chosen = [*_within_places(look.choose(due), free)][: look.most]
        taken_at = Counter(each.provider for each in chosen)
        left_at = Counter(each.provider for each in due) - taken_at
        full |= {each for each in left_at if taken_at[each] == free.get(each)}
        later = [each.at for candidates in lists for each in candidates if each.at > now]
        end = START
        if len(walked) == ROWS_PER_LOOK:
            provider, user_id, batch = max(
                (each.provider, each.user_id, each.batch) for each in walked
            )
            end = place.next(later, provider=provider, user_id=user_id, batch=batch)

        def found(taken: list[T]) -> Found[T]:
            # Only now: the leases of this look end too.
            here = {"lane": lane.value}
            ((lease_end,),) = db.execute(self._sql["next-lease-end"], here).fetchall()
            times = [*later, *place.earlier, *filter(None, [lease_end])]
            has_more = bool(full) or len(chosen) < len(due)
            return Found(taken, end, has_more, min(times, default=None), frozenset(full))

        return chosen, found

    def _walk(self, db: Session, look: Look[Candidate]) -> list[Candidate]:
        """A bounded number of jobs in fair order, and one of each provider with a limit."""
        place = look.place
        parameters = {
            "lane": look.lane.value,
            "calls": Lane.SUBMITTING.value if look.lane is Lane.SUBMIT else "",
            "now": look.now,
            "share": look.most,
            "most": ROWS_PER_LOOK,
            "limited": f",{','.join(look.limits)},",
            "provider": place.provider,
            "user_id": place.user_id,
            "batch": int(place.batch),
        }
        rows = db.execute(self._sql["list-candidates"], parameters).fetchall()
        return [Candidate(*row) for row in rows]

    def _count_places(
        self, db: Session, look: Look[Candidate]
    ) -> tuple[Mapping[str, int], set[str]]:
        """The free places at each provider with a limit; and those at which a job waits although
        they have none. A place is taken in the transaction that has counted, which holds the lane's
        lock."""
        free, full = dict[str, int](), set[str]()
        for provider, limit in look.limits.items():
            here = {"provider": provider}
            ((in_flight, waits),) = db.execute(self._places["count-in-flight"], here).fetchall()
            free[provider] = max(0, limit - in_flight)
            if waits and in_flight >= limit:
                full.add(provider)
        return free, full

    def _list_waiting(
        self, db: Session, look: Look[Candidate], provider: str, free: int
    ) -> list[Candidate]:
        """What waits at a provider, in the order in which it gets the free places."""
        if not free:
            return []
        # One more shows whether a job is left.
        share = min(free, look.most) + 1
        parameters = {"provider": provider, "now": look.now, "share": share}
        rows = db.execute(self._places["list-waiting"], parameters).fetchall()
        return [Candidate(*row) for row in rows]

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


def _lease_of(job: Job, holder: str) -> dict[str, str]:
    """Which lease it is: a job that changes can be leased again, by the same holder too."""
    assert job.due is not None
    return {"job_id": job.id, "lane": job.due.lane.value, "holder": holder}


_rank = attrgetter("rank")
"""Lists are merged by the rank of what comes next in each, so that no provider takes all slots."""


def _within_places(chosen: Sequence[Candidate], free: Mapping[str, int]) -> Iterator[Candidate]:
    """The first of those chosen, as many as there are free places at their provider."""
    taken = Counter[str]()
    for each in chosen:
        taken[each.provider] += 1
        if taken[each.provider] <= free.get(each.provider, taken[each.provider]):
            yield each
