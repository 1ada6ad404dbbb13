"""Which jobs' status calls fail, and which queued job is an open breaker's next probe. Pure:
monotonic times in seconds are passed in."""

from collections import Counter, OrderedDict
from typing import Final, TypeAlias

TURN_SECONDS: Final = 5.0
"""How long the selected job's status call may take to end, before another job is selected."""
MAX_FAILING: Final = 10_000
"""Maximum number of failing jobs remembered; then the oldest one is forgotten."""

Group: TypeAlias = tuple[int, bool, bool]
"""Of queued jobs: their user, whether their last call failed, and whether they lack a claim."""


class ProbeQueue:
    """One provider's failing jobs (the last status call failed), and a queue of jobs to poll once
    its open breaker allows it. Users take turns; of a user's jobs, those whose last call did not
    fail go first, and among them those with a claim.

    A job's failures may be the provider's fault until another job's call is answered. From then on,
    they count as the job's own, until one of its calls is answered.
    """

    def __init__(self) -> None:
        self._answers = 0
        self._failing: dict[str, int] = {}
        """By failing job: the number of answers before its first failure."""
        self._waiting: dict[str, Group] = {}
        self._groups: dict[Group, OrderedDict[str, None]] = {}
        """The queued jobs of each group, in order of arrival; no group is empty."""
        self._turns: Counter[int] = Counter()
        """By user: the turns since the last answer."""
        self._next: str | None = None
        self._next_user_id = 0
        self.next_call_at = 0.0
        """Monotonic time from which the next job may be selected, unless a call ends before."""

    def __bool__(self) -> bool:
        """Whether a job is queued."""
        return bool(self._waiting)

    def answered(self, job_id: str) -> None:
        """Record an answer: the job leaves the queue, and turns are counted from 0 again."""
        self._answers += 1
        self._failing.pop(job_id, None)
        self._leave(job_id)
        self._turns.clear()
        self._next = None
        self.next_call_at = 0.0

    def failed(self, job_id: str) -> bool:
        """Record a failed call: the job leaves the queue, and the next one may be selected at once.
        Returns whether the provider may be at fault."""
        self._leave(job_id)
        self.next_call_at = 0.0
        first = self._failing.setdefault(job_id, self._answers)
        if len(self._failing) > MAX_FAILING:
            del self._failing[next(iter(self._failing))]
        return first == self._answers

    def is_failing(self, job_id: str) -> bool:
        """Whether the job's last call failed."""
        return job_id in self._failing

    def enqueue(self, job_id: str, user_id: int, *, claimed: bool) -> None:
        """Queue a job. If it is queued in the same group already, it keeps its place."""
        group = user_id, job_id in self._failing, not claimed
        if self._waiting.get(job_id) != group:
            self._leave(job_id)
            self._waiting[job_id] = group
            self._groups.setdefault(group, OrderedDict())[job_id] = None

    def take_next(self, now: float) -> str | None:
        """Take the job that is next out of the queue and return it; None if the queue is empty."""

        def rank(group: Group) -> Group:
            user_id, failing, unclaimed = group
            return self._turns[user_id], failing, unclaimed

        if not self._groups:
            self._next = None
            return None
        group = min(self._groups, key=rank)
        self._next, self._next_user_id = next(iter(self._groups[group])), group[0]
        self._leave(self._next)
        self._turns[self._next_user_id] += 1
        self.next_call_at = now + TURN_SECONDS
        return self._next

    def give_back(self) -> None:
        """Give the turn back to the user: the selected job needs no call any more."""
        self._turns[self._next_user_id] -= 1
        self.next_call_at = 0.0

    def _leave(self, job_id: str) -> None:
        """Remove a job from the queue, if it is there."""
        if (group := self._waiting.pop(job_id, None)) is not None:
            del self._groups[group][job_id]
            if not self._groups[group]:
                del self._groups[group]

    def allows(self, job_id: str) -> bool:
        """Whether the job may be the probe. A failing job may not while another is selected."""
        return self._next in (None, job_id) or job_id not in self._failing
