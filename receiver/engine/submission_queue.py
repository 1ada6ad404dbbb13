"""Submissions that this process has leased and not started: new jobs that were handed over, and
leftovers from the store. Bounded, and fair between users."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from receiver.clock import Clock
from receiver.domain import holds as rules
from receiver.domain.fair_queue import FairQueue
from receiver.domain.lifecycle import decide
from receiver.domain.observations import SubmissionBegins
from receiver.domain.schedule import Rules
from receiver.streams.hub import Subscription
from store.backlogs import Backlog
from store.errors import OutcomeUnknown
from store.idempotency import Replay
from store.records.holds import Hold, ProviderHolds
from store.records.jobs import Job, Phase
from store.records.moves import NewJob
from store.records.times import Lease, Millis

QUEUE_LEASE: Millis = 30_000
"""How long a queued job is leased to this process before its submission starts."""
MAX_HANDED_OVER = 256
MAX_HANDED_OVER_PER_USER = 64
"""New jobs are handed over only while fewer jobs than this wait here: of all users, and of the
job's user."""
MAX_QUEUED = 512
"""Jobs are leased from the store, except probes, only while fewer than this wait here."""


@dataclass(slots=True)
class QueuedSubmission:
    """A submission that waits for a slot, or has begun with the creation of its job."""

    job: Job
    lease: Lease | None
    """None if it has begun."""
    new: NewJob | None = None
    """The new job, if it was handed over: then nothing has to be read from the store."""
    begun: SubmissionBegins | None = None
    """The attempt that began in the transaction that created the job. It has a slot."""
    is_stored: bool = True
    """False if it is unknown whether the job was created."""


class SubmissionQueue:
    """The submissions that wait for a slot. New jobs come directly from their requests, without a
    query for due work; while slots are free, their submission begins with their creation."""

    def __init__(self, holder: str, slots: int, clock: Clock) -> None:
        """`slots`: how many submissions run at once."""
        self.slots = slots
        self.wake = Subscription()
        """Notified when a job was queued, or a slot is free."""
        self.holds: Mapping[str, ProviderHolds] = {}
        """The providers' holds, as last read from the store."""
        self._holder = holder
        self._clock = clock
        self._turns = FairQueue[str, QueuedSubmission](slots)
        self._ahead = 2 * slots
        """How many jobs of one backlog are leased at a time, at most (except to choose a probe)."""
        self._begun = deque[QueuedSubmission]()
        """Submissions that have begun and have not been taken."""
        self._in_creation: Counter[int] = Counter()
        """By user: accepted jobs whose creation is under way."""
        self._will_wait = 0
        """How many of them have not begun."""
        self._has_read_store = False
        """Whether the holds and backlogs in the store have been read."""
        self._in_store: set[Backlog] = set()
        """Backlogs without a hold that may have more jobs in the store."""
        self.is_closed = False
        """Whether the service stops: no job is accepted, and none is sent any more."""

    # --- handing over -----------------------------------------------------------------------------

    def accept(self, new: NewJob, submission_rules: Rules) -> QueuedSubmission | None:
        """Take over a job that is about to be created as the result's `new`; None if it cannot be
        taken over now. `end_creation` must follow."""
        user_id, backlog = new.job.user_id, _backlog_of(new.job)
        # Older jobs go first.
        if self.is_closed or self._holds_on(backlog) or backlog in self._in_store:
            return None
        queued = self._begin(new, submission_rules)
        if queued is None:
            of_user = self._turns.waiting(user_id) + self._in_creation[user_id]
            of_all = len(self._turns.items) + self._in_creation.total()
            if of_user >= MAX_HANDED_OVER_PER_USER or of_all >= MAX_HANDED_OVER:
                return None
            queued = QueuedSubmission(new.job, self.new_lease(), new)
            self._will_wait += 1
        self._in_creation[user_id] += 1
        return queued

    def _begin(self, new: NewJob, submission_rules: Rules) -> QueuedSubmission | None:
        """Begin the submission of a job that is about to be created, with a slot; None if others
        wait, or will once they are created, or no slot is free."""
        is_free = self._has_read_store and self._turns.has_free_slot
        if self._will_wait or self._begun or not is_free:
            return None
        now = self._clock.now()
        begun = SubmissionBegins(1, now + submission_rules.submit_lease)
        move = decide(new.job, begun, now, submission_rules)
        if move is None or move.event is None or move.job.phase is not Phase.SUBMITTING:
            return None  # its deadline is over
        self._turns.take_slot(new.job.user_id)
        new = replace(new, job=move.job, events=(*new.events, move.event))
        return QueuedSubmission(new.job, None, new, begun)

    def end_creation(self, queued: QueuedSubmission, writing: asyncio.Future[Job | Replay]) -> None:
        """The creation of an accepted job has ended: queue it, unless it certainly failed."""
        self._in_creation[queued.job.user_id] -= 1
        self._in_creation += Counter()  # drops zero counts
        self._will_wait -= queued.begun is None
        error = asyncio.CancelledError() if writing.cancelled() else writing.exception()
        queued.is_stored = error is None and isinstance(writing.result(), Job)
        may_exist = queued.is_stored or isinstance(error, OutcomeUnknown | asyncio.CancelledError)
        if queued.begun is None and may_exist:
            self._turns.add(queued.job.user_id, queued.job.id, queued)
        elif queued.begun is not None and may_exist:
            self._begun.append(queued)
        elif queued.begun is not None:
            self._turns.give_back(queued.job.user_id)
        self.wake.notify()

    @property
    def in_creation(self) -> int:
        """How many accepted jobs are being created."""
        return self._in_creation.total()

    # --- slots ------------------------------------------------------------------------------------

    def take(self) -> QueuedSubmission | None:
        """The next submission, with a slot; None if none waits or no slot is free."""
        if self._begun:
            return self._begun.popleft()
        return self._turns.take() if self._has_read_store else None

    def give_back(self, job: Job) -> None:
        """Release the job's slot."""
        self._turns.give_back(job.user_id)
        if self._turns.items:
            self.wake.notify()

    # --- what is in the store ---------------------------------------------------------------------

    def new_lease(self) -> Lease:
        """A lease of this process, starting now."""
        return Lease(self._holder, self._clock.now() + QUEUE_LEASE)

    @property
    def is_short(self) -> bool:
        """Whether a user has more jobs in the store but few here."""
        return any(self._has_few(backlog) for backlog in self._in_store)

    def plan_leases(self, backlogs: Sequence[Backlog], now: Millis) -> dict[Backlog, int]:
        """Choose how many jobs to lease from the store at most, by backlog, and remember which
        backlogs may have more there."""
        probing = []
        free = []
        for backlog in backlogs:
            if not self._holds_on(backlog):
                free.append(backlog)
            elif not self._must_wait(backlog, now):
                probing.append(backlog)
        self._in_store = set(free)
        self._has_read_store = True
        self.wake.notify()
        return self._probes(probing) | self._shares(free)

    def add(self, jobs: Sequence[Job], wanted: Mapping[Backlog, int], lease: Lease) -> list[str]:
        """Queue jobs leased from the store; returns the ids of those to release."""
        leased: dict[Backlog, list[Job]] = {backlog: [] for backlog in wanted}
        for job in jobs:
            leased.setdefault(_backlog_of(job), []).append(job)
        self._in_store -= {each for each, most in wanted.items() if len(leased[each]) < most}
        surplus = []
        for backlog, found in leased.items():
            if self._holds_on(backlog):
                refused = rules.refused_jobs(self._holds_of(backlog.provider), backlog.user_id)
                found.sort(key=lambda job: job.id in refused)
                surplus += [job.id for job in found[1:]]  # only one is the probe
                del found[1:]
            for job in found:
                if waiting := self._turns.items.get(job.id):  # its lease had ended
                    waiting.job, waiting.lease = job, lease
                else:
                    self._turns.add(job.user_id, job.id, QueuedSubmission(job, lease))
        self.wake.notify()
        return surplus

    def remove_held(self, now: Millis) -> list[str]:
        """Remove the jobs that must wait for the end of a hold; returns their ids."""
        return self._turns.remove(lambda each: self._must_wait(_backlog_of(each.job), now))

    def close(self) -> list[str]:
        """Accept no more jobs, and remove those that wait for a slot; returns their ids."""
        self.is_closed = True
        return self._turns.remove(lambda _: True)

    def _holds_of(self, provider: str) -> ProviderHolds:
        return self.holds.get(provider, rules.NO_HOLDS)

    def _holds_on(self, backlog: Backlog) -> list[Hold]:
        return rules.holds_on(self._holds_of(backlog.provider), backlog.user_id)

    def _must_wait(self, backlog: Backlog, now: Millis) -> bool:
        return rules.held_until(self._holds_of(backlog.provider), backlog.user_id, now) > 0

    def _has_few(self, backlog: Backlog) -> bool:
        """Whether few of the user's jobs wait here."""
        return self._turns.waiting(backlog.user_id) <= self._ahead // 2

    def _shares(self, backlogs: Sequence[Backlog]) -> dict[Backlog, int]:
        """An equal share of the free places for each backlog that has few jobs here."""
        short = [backlog for backlog in backlogs if self._has_few(backlog)]
        room = max(0, MAX_QUEUED - len(self._turns.items))
        share = min(self._ahead, max(1, room // max(1, len(short))))
        return dict.fromkeys(short[: room // share], share)

    def _probes(self, backlogs: Sequence[Backlog]) -> dict[Backlog, int]:
        """The backlogs that send a probe now: one for a hold on all users, else one for each user
        who is limited individually; none where a job is queued here already.

        Enough jobs are leased to choose one that was not refused before.
        """
        users: defaultdict[str, list[int]] = defaultdict(list)
        for provider, user_id in backlogs:
            users[provider].append(user_id)
        queued = {_backlog_of(each.job) for each in self._turns.items.values()}
        probes = {}
        for provider, user_ids in users.items():
            holds = self._holds_of(provider)
            here = {user_id for name, user_id in queued if name == provider}
            if holds.everybody is None:
                chosen = [user_id for user_id in user_ids if user_id not in here]
            else:
                chosen = [] if here else [rules.best_probe_user(holds, user_ids)]
            for user_id in chosen:
                refused = rules.refused_jobs(holds, user_id)
                probes[Backlog(provider, user_id)] = 1 + len(refused)
        return probes


def _backlog_of(job: Job) -> Backlog:
    return Backlog(job.provider, job.user_id)
