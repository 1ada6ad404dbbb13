"""How the sandbox behaves: how long a job takes, and how often each thing goes wrong."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SandboxRules:
    """Faults on request. Every `float` but `render_seconds` is a probability from 0 to 1."""

    render_seconds: float = 8.0
    """From the submission to the final state; more than 0."""

    drop_callbacks: float = 0.0
    """Of each callback: it is never sent."""
    duplicate_callbacks: float = 0.0
    """Of each callback: it is sent twice, byte for byte."""
    late_callbacks: float = 0.0
    """Of each job: its final callback comes one whole `render_seconds` after the final state."""
    reorder_callbacks: float = 0.0
    """Of each job: its last progress callback comes after the final one."""

    fail_jobs: float = 0.0
    """Of each job: it ends FAILED."""
    submit_timeouts: float = 0.0
    """Of each job: it is made, and the answer to its submission never comes."""
    server_errors_before: float = 0.0
    """Of each submission: answered 500, and no job is made."""
    server_errors_after: float = 0.0
    """Of each job: it is made, and its submission is answered 500."""
    busy_bursts: float = 0.0
    """Of each submission, and of each status call of a job: a burst of three such calls begins
    that are answered 429 and 503 with `Retry-After`, and do nothing."""

    seed: int | None = None
    """The same seed gives the same fates to the jobs, by the order in which they are made, whatever
    the timing of the calls; None takes one from the operating system."""
