"""Which jobs' status calls fail, and which job's call tests an open breaker next. Pure:
monotonic times in seconds are passed in."""

from collections import Counter, OrderedDict
from typing import Final, TypeAlias

TURN_SECONDS: Final = 5.0
"""How long the job whose turn it is may take to be asked about, before the next one is called."""
MOST_FAILING: Final = 10_000
"""Maximum number of failing jobs remembered; then the oldest one is forgotten."""

Group: TypeAlias = tuple[int, bool, bool]
"""Of jobs that wait: their user, whether their last call failed, and whether they lack a claim."""


class ProbeLine:
    """Of one provider: the jobs whose last status call failed, and the jobs that wait behind its
    open breaker. Users take turns with their jobs; of a user's jobs, those whose last call did not
    fail go first, and among them those with a claim.

    A failure may be the provider's only until another job's call is answered. From then on it is
    the job's own, until one of its calls is answered.
    """

    def __init__(self) -> None:
        self._answers = 0
        self._failing: dict[str, int] = {}
        """By failing job: the number of answers before its first failure."""
        self._waiting: dict[str, Group] = {}
        self._groups: dict[Group, OrderedDict[str, None]] = {}
        """The jobs that wait, in the order of their coming; no group is empty."""
        self._turns: Counter[int] = Counter()
        """By user: the turns since the last answer."""
        self._next: str | None = None
        self._whose_turn = 0
        self.next_call_at = 0.0
        """Monotonic time from which the next job may be called, if no call ends before."""

    def __bool__(self) -> bool:
        """Whether a job waits."""
        return bool(self._waiting)

    def answered(self, job_id: str) -> None:
        """The provider answers: the turns begin anew, with all that wait."""
        self._answers += 1
        self._failing.pop(job_id, None)
        self._leave(job_id)
        self._turns.clear()
        self._next = None
        self.next_call_at = 0.0

    def failed(self, job_id: str) -> bool:
        """A job's call failed: its turn is over. Returns whether it may be the provider's fault."""
        self._leave(job_id)
        self.next_call_at = 0.0
        first = self._failing.setdefault(job_id, self._answers)
        if len(self._failing) > MOST_FAILING:
            del self._failing[next(iter(self._failing))]
        return first == self._answers

    def is_failing(self, job_id: str) -> bool:
        """Whether the job's last call failed."""
        return job_id in self._failing

    def wait(self, job_id: str, user_id: int, *, claimed: bool) -> None:
        """Let a job wait for a turn. One that waits already keeps its place among its
        like."""
        group = user_id, job_id in self._failing, not claimed
        if self._waiting.get(job_id) != group:
            self._leave(job_id)
            self._waiting[job_id] = group
            self._groups.setdefault(group, OrderedDict())[job_id] = None

    def call_next(self, now: float) -> str | None:
        """End the wait of the job whose turn it is now, if any waits."""

        def rank(group: Group) -> Group:
            user_id, failing, unclaimed = group
            return self._turns[user_id], failing, unclaimed

        if not self._groups:
            self._next = None
            return None
        group = min(self._groups, key=rank)
        self._next, self._whose_turn = next(iter(self._groups[group])), group[0]
        self._leave(self._next)
        self._turns[self._whose_turn] += 1
        self.next_call_at = now + TURN_SECONDS
        return self._next

    def pass_over(self) -> None:
        """The job that was called awaits no call any more: its user's turn goes on."""
        self._turns[self._whose_turn] -= 1
        self.next_call_at = 0.0

    def _leave(self, job_id: str) -> None:
        """End the wait of a job, if it waits."""
        if (group := self._waiting.pop(job_id, None)) is not None:
            del self._groups[group][job_id]
            if not self._groups[group]:
                del self._groups[group]

    def allows(self, job_id: str) -> bool:
        """Whether the job may be the probe: one that fails may not come before its turn."""
        return self._next in (None, job_id) or job_id not in self._failing
