"""A simulator's faults: the probability of each, and what is drawn for each job."""

import random
from dataclasses import dataclass
from typing import Final, Literal

UPDATES: Final = (25, 50, 75)
"""The progress at which callbacks are sent before the final one."""


@dataclass(frozen=True, slots=True)
class SimulatorRules:
    """Configurable faults. Probabilities are from 0 to 1."""

    render_seconds: float = 8.0
    """Seconds from the beginning of a job to its final state; more than 0."""
    places: int | None = None
    """How many jobs run at once; more wait, the oldest first. None for no limit."""

    drop_callbacks: float = 0.0
    """Probability that a callback is never sent."""
    duplicate_callbacks: float = 0.0
    """Probability that a callback is sent twice, byte for byte."""

    fail_jobs: float = 0.0
    """Probability that a job ends FAILED."""
    submit_timeouts: float = 0.0
    """Probability that a job is created but its submission is never answered."""
    server_errors: float = 0.0
    """Probability that a job is created but its submission is answered 500."""
    busy: float = 0.0
    """Probability that a submission or a status call is answered 429 or 503 with `Retry-After`, and
    has no effect."""

    seed: int | None = None
    """With the same seed, the n-th job always has the same plan. None takes a random seed."""


@dataclass(frozen=True, slots=True)
class JobPlan:
    """What is drawn for one job."""

    fails: bool
    answer: Literal["accepted", "error", "never"]
    """How its submission is answered; after the last two, only a callback tells the sender of the
    job."""
    copies: tuple[int, ...]
    """How often each callback is sent: 0 if dropped, 2 if duplicated. The last is the final one."""


def plan_job(rules: SimulatorRules, nonce: str) -> JobPlan:
    """Draw a job's plan, always the same for a nonce. Changing one probability affects no other
    decision."""
    draws = random.Random(nonce)
    fails = draws.random() < rules.fail_jobs
    is_error = draws.random() < rules.server_errors
    is_never = draws.random() < rules.submit_timeouts
    return JobPlan(
        fails,
        "never" if is_never else "error" if is_error else "accepted",
        tuple(_copies(rules, draws) for _ in (*UPDATES, "final")),
    )


def _copies(rules: SimulatorRules, draws: random.Random) -> int:
    dropped = draws.random() < rules.drop_callbacks
    duplicated = draws.random() < rules.duplicate_callbacks
    return 0 if dropped else 2 if duplicated else 1
