"""Which jobs' status calls fail, and which job's call tests an open breaker next. Pure:
monotonic times in seconds are passed in."""

from collections import Counter
from typing import Final

TURN_SECONDS: Final = 5.0
"""How long the job whose turn it is may take to be asked about, before the next one is called."""
MOST_FAILING: Final = 10_000
"""Maximum number of failing jobs remembered; then the oldest one is forgotten."""


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
        self._waiting: dict[str, tuple[int, bool]] = {}
        """By job, in the order of their coming: its user, and whether it has a claim."""
        self._turns: Counter[int] = Counter()
        """By user: the turns since the last answer."""
        self._next: str | None = None
        self.next_call_at = 0.0
        """Monotonic time from which the next job may be called, if no call ends before."""

    def __bool__(self) -> bool:
        """Whether a job waits."""
        return bool(self._waiting)

    def answered(self, job_id: str) -> None:
        """The provider answers: the turns begin anew, with all that wait."""
        self._answers += 1
        self._failing.pop(job_id, None)
        self._waiting.pop(job_id, None)
        self._turns.clear()
        self._next = None
        self.next_call_at = 0.0

    def failed(self, job_id: str) -> bool:
        """A job's call failed: its turn is over. Returns whether it may be the provider's fault."""
        self._waiting.pop(job_id, None)
        self.next_call_at = 0.0
        first = self._failing.setdefault(job_id, self._answers)
        if len(self._failing) > MOST_FAILING:
            del self._failing[next(iter(self._failing))]
        return first == self._answers

    def is_failing(self, job_id: str) -> bool:
        """Whether the job's last call failed."""
        return job_id in self._failing

    def wait(self, job_id: str, user_id: int, *, claimed: bool) -> None:
        """Let a job wait for a turn. One that waits already keeps its place."""
        self._waiting[job_id] = user_id, claimed

    def call_next(self, now: float) -> str | None:
        """End the wait of the job whose turn it is now, if any waits."""

        def rank(job_id: str) -> tuple[int, bool, bool]:
            user_id, claimed = self._waiting[job_id]
            return self._turns[user_id], job_id in self._failing, not claimed

        self._next = min(self._waiting, key=rank, default=None)
        if self._next is not None:
            user_id, _ = self._waiting.pop(self._next)
            self._turns[user_id] += 1
            self.next_call_at = now + TURN_SECONDS
        return self._next

    def allows(self, job_id: str) -> bool:
        """Whether the job may be the probe: one that fails may not come before its turn."""
        return self._next in (None, job_id) or job_id not in self._failing
