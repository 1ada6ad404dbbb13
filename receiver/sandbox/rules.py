"""How the sandbox behaves: how long a job takes, and how often each thing goes wrong."""

from dataclasses import dataclass


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
