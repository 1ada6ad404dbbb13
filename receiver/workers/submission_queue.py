"""Submissions that this process has leased and not started: new jobs that were handed over, and
leftovers from the store. Bounded, and fair between users."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from receiver.clock import Clock
from receiver.domain import holds as rules
from receiver.domain.turns import Turns
from store.holds import ProviderHolds
from store.records.jobs import Job
from store.records.moves import NewJob
from store.records.times import Lease, Millis

TAKEN_FOR: Millis = 30_000
"""How long a queued job is leased to this process before its submission starts."""
MOST_OFFERED = 256
MOST_OF_ONE = 64
"""Maximum number of new jobs handed over and not started: of all users, and of one user."""
MOST_TAKEN = 512
"""Jobs are leased from the store only while fewer than this wait here."""

Place = tuple[str, int]
"""A provider and a user id."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A submission that waits for a slot."""

    job: Job
    lease: Lease
    new: NewJob | None = None
    """The new job, if it was handed over: nothing of it has to be read."""


class SubmissionQueue:
    """The submissions that wait for a slot; implements `receiver.actions.context.JobSink`."""

    def __init__(self, holder: str, slots: int, clock: Clock, wake: Callable[[], None]) -> None:
        """`wake` is called when a job was handed over or a slot is free."""
        self.holds: Mapping[str, ProviderHolds] = {}
        """The providers' holds, as last read from the store."""
        self._holder = holder
        self._clock = clock
        self._wake = wake
        self._turns = Turns[Waiting](slots)
        self._ahead = 2 * slots
        """How many jobs of one user's backlog are leased at a time."""
        self._coming: Counter[int] = Counter()
        """By user: leases whose job has not been offered yet."""
        self._left: set[int] = set()
        """Users who may have more jobs in the store."""
        self._is_closed = False

    # --- handing over: see JobSink ----------------------------------------------------------------

    def lease(self, job: Job) -> Lease | None:
        of_user = self._turns.waiting(job.user_id) + self._coming[job.user_id]
        if (
            self._is_closed
            or self._is_troubled(job)
            # The user's older jobs are in the store and go first.
            or job.user_id in self._left
            or of_user >= MOST_OF_ONE
            or len(self._turns) + self._coming.total() >= MOST_OFFERED
        ):
            return None
        self._coming[job.user_id] += 1
        return self.new_lease()

    def offer(self, new: NewJob, lease: Lease) -> None:
        self.decline(new.job)
        self._turns.add(new.job.user_id, Waiting(new.job, lease, new))
        self._wake()

    def decline(self, job: Job) -> None:
        self._coming[job.user_id] -= 1
        self._coming += Counter()  # drops zero counts

    # --- slots ------------------------------------------------------------------------------------

    def take(self) -> Waiting | None:
        """The next submission, with a slot; None if none waits or no slot is free."""
        taken = self._turns.take()
        return None if taken is None else taken[1]

    def give_back(self, job: Job) -> None:
        """Release the job's slot."""
        self._turns.give_back(job.user_id)
        if len(self._turns):
            self._wake()

    # --- what is in the store ---------------------------------------------------------------------

    def new_lease(self) -> Lease:
        """A lease of this process, starting now."""
        return Lease(self._holder, self._clock.now() + TAKEN_FOR)

    @property
    def is_short(self) -> bool:
        """Whether a user has more jobs in the store but few here."""
        return any(self._is_low(user_id) for user_id in self._left)

    def wanted(self, places: Sequence[Place], now: Millis) -> dict[Place, int]:
        """How many jobs to lease from the store at most, by place.

        After a hold only one submission is sent, the probe. The others are there to choose it from.
        """
        self._left = set()
        wanted, free = {}, []
        troubled: dict[str, list[int]] = {}
        for provider, user_id in places:
            holds = self.holds.get(provider, rules.OPEN)
            if rules.is_held(holds, user_id, now):
                continue
            if rules.needs_probe(holds, user_id):
                troubled.setdefault(provider, []).append(user_id)
            else:
                free.append((provider, user_id))
        for provider, user_id in self._probes(troubled):
            wanted[provider, user_id] = 1 + len(rules.refused_jobs(self.holds[provider], user_id))
        room = MOST_TAKEN - len(self._turns)
        for number, (provider, user_id) in enumerate(free):
            self._left.add(user_id)
            share = min(self._ahead, max(1, room // (len(free) - number)), room)
            if self._is_low(user_id) and share > 0:
                wanted[provider, user_id] = share
                room -= share
        return wanted

    def add(self, jobs: Sequence[Job], wanted: Mapping[Place, int], lease: Lease) -> list[str]:
        """Queue jobs leased from the store; returns the ids of those to release."""
        known = {waiting.job.id for waiting in self._turns}
        by_place: dict[Place, list[Job]] = {}
        for job in jobs:
            by_place.setdefault((job.provider, job.user_id), []).append(job)
        surplus = []
        for place, found in by_place.items():
            provider, user_id = place
            if len(found) < wanted.get(place, 0):
                self._left.discard(user_id)
            if self._is_troubled(found[0]):
                refused = rules.refused_jobs(self.holds[provider], user_id)
                found.sort(key=lambda job: job.id in refused)
                surplus += [job.id for job in found[1:]]
                del found[1:]
            for job in found:
                if job.id not in known:
                    self._turns.add(user_id, Waiting(job, lease))
        self._left -= {user_id for _, user_id in wanted.keys() - by_place.keys()}
        return surplus

    def remove_held(self, now: Millis) -> list[str]:
        """Remove the jobs that must wait for the end of a hold; returns their ids."""

        def is_held(waiting: Waiting) -> bool:
            holds = self.holds.get(waiting.job.provider, rules.OPEN)
            return rules.is_held(holds, waiting.job.user_id, now)

        return [waiting.job.id for waiting in self._turns.remove(is_held)] if self.holds else []

    def close(self) -> list[str]:
        """Accept no more jobs, and remove those not started; returns their ids."""
        self._is_closed = True
        return [waiting.job.id for waiting in self._turns.remove(lambda _: True)]

    def _is_low(self, user_id: int) -> bool:
        return self._turns.waiting(user_id) <= self._ahead // 2

    def _is_troubled(self, job: Job) -> bool:
        holds = self.holds.get(job.provider)
        return holds is not None and rules.needs_probe(holds, job.user_id)

    def _probes(self, troubled: Mapping[str, Sequence[int]]) -> Iterator[Place]:
        """The places that send a probe: their hold has ended, and no probe is queued here."""
        here = {(waiting.job.provider, waiting.job.user_id) for waiting in self._turns}
        for provider, user_ids in troubled.items():
            holds = self.holds[provider]
            if holds.everybody is None:
                yield from (at for user_id in user_ids if (at := (provider, user_id)) not in here)
            elif provider not in {each for each, _ in here}:
                yield provider, rules.best_probe_user(holds, user_ids)
