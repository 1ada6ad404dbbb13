"""The sandbox's faults: the probability of each, and the planned faults of each job and each call,
derived from the seed and an ordinal."""

import random
from dataclasses import dataclass
from typing import Final, Literal

_UPDATES: Final = (25, 50, 75)
_BURST_LENGTH: Final = 3
_JUST_AFTER: Final = 1.05
_FAILURES: Final = (
    "The video model gave up on this prompt.",
    "A scene could not be rendered.",
    "The content filter stopped this job.",
)


@dataclass(frozen=True, slots=True)
class SandboxRules:
    """Configurable faults. Probabilities are from 0 to 1."""

    render_seconds: float = 8.0
    """Seconds from the submission to the final state; more than 0."""

    drop_callbacks: float = 0.0
    """Probability that a callback is never sent."""
    duplicate_callbacks: float = 0.0
    """Probability that a callback is sent twice, byte for byte."""
    late_callbacks: float = 0.0
    """Probability that a job's final callback is sent `render_seconds` after the final state."""
    reorder_callbacks: float = 0.0
    """Probability that a job's last progress callback is sent after the final one."""

    fail_jobs: float = 0.0
    """Probability that a job ends FAILED."""
    submit_timeouts: float = 0.0
    """Probability that a job is created but its submission is never answered."""
    server_errors_before: float = 0.0
    """Probability that a submission is answered 500 and creates no job."""
    server_errors_after: float = 0.0
    """Probability that a job is created but its submission is answered 500."""
    busy_bursts: float = 0.0
    """Probability that a submission, or a status call of a job, begins a burst of three such calls
    that are answered 429 or 503 with `Retry-After` and have no effect."""

    seed: int | None = None
    """With the same seed, the n-th job always has the same plan, whatever the timing of the calls.
    None takes a random seed."""


@dataclass(frozen=True, slots=True)
class PlannedCallback:
    """One callback of a job."""

    after: float
    """Seconds from the job's creation."""
    progress: int | None
    """Percent, in an IN_PROGRESS callback; None for the final callback."""
    copies: int
    """How often it is sent: 0 if dropped, 2 if duplicated."""


@dataclass(frozen=True, slots=True)
class JobPlan:
    """The random decisions about one job."""

    request_id: str
    failure: str | None
    """The message of a job that fails; None if it completes."""
    answer: Literal["accepted", "error", "never"]
    """How its submission is answered; after the last two, only a callback or a look-up tells the
    sender of the job."""
    callbacks: tuple[PlannedCallback, ...]
    """In the order of sending."""


class FaultPlan:
    """Makes random decisions with the probabilities in the rules.

    They are independent: a job's plan depends only on the seed and its ordinal, and changing one
    probability does not affect the other decisions.
    """

    def __init__(self, rules: SandboxRules) -> None:
        self.rules = rules
        self._seed = random.SystemRandom().getrandbits(64) if rules.seed is None else rules.seed

    def of_job(self, ordinal: int) -> JobPlan:
        """The plan of job number `ordinal`, counted from 0."""
        rules = self.rules
        draws = self._random_for(f"job/{ordinal}")
        request_id = draws.randbytes(12).hex()
        failure = draws.choice(_FAILURES)
        fails = draws.random() < rules.fail_jobs
        answer: Literal["accepted", "error", "never"] = "accepted"
        if draws.random() < rules.server_errors_after:
            answer = "error"
        if draws.random() < rules.submit_timeouts:
            answer = "never"
        late = draws.random() < rules.late_callbacks
        reordered = draws.random() < rules.reorder_callbacks

        end = rules.render_seconds * (2 if late else 1)
        times = {progress: rules.render_seconds * progress / 100 for progress in _UPDATES}
        if reordered:
            times[_UPDATES[-1]] = end * _JUST_AFTER
        planned = [
            PlannedCallback(after, progress, self._copies(draws))
            for progress, after in (*times.items(), (None, end))
        ]
        return JobPlan(
            request_id=request_id,
            failure=failure if fails else None,
            answer=answer,
            callbacks=tuple(sorted(planned, key=lambda callback: callback.after)),
        )

    def is_broken(self, submission: int) -> bool:
        """Whether submission number `submission` is answered 500 without creating a job."""
        return self._random_for(f"broken/{submission}").random() < self.rules.server_errors_before

    def busy_status(self, caller: str, call: int) -> int | None:
        """429 or 503 if call number `call` of `caller` is part of a burst, else None."""
        for begun in range(max(0, call - _BURST_LENGTH + 1), call + 1):
            if self._random_for(f"busy/{caller}/{begun}").random() < self.rules.busy_bursts:
                return 429 if call % 2 == 0 else 503
        return None

    def signing_seed(self) -> bytes:
        """32 bytes from which a signing provider derives its key."""
        return self._random_for("signing").randbytes(32)

    def _copies(self, draws: random.Random) -> int:
        dropped = draws.random() < self.rules.drop_callbacks
        duplicated = draws.random() < self.rules.duplicate_callbacks
        return 0 if dropped else 2 if duplicated else 1

    def _random_for(self, purpose: str) -> random.Random:
        return random.Random(f"{self._seed}/{purpose}")
