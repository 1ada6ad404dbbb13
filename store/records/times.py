"""When something is due, and how long it is leased."""

from dataclasses import dataclass
from enum import StrEnum

Millis = int
"""Milliseconds since the Unix epoch (UTC), or a duration in milliseconds where a name says so."""


class Lane(StrEnum):
    """What a job waits for next; each such job has one row in the table `due`."""

    SUBMIT = "submit"
    """The next submission attempt. The time is that of the job's creation, so that the oldest goes
    first."""
    SUBMITTING = "submitting"
    """The end of the lease of the submission under way."""
    WAIT = "wait"
    """A timeout without a request: a deadline, an unconfirmed claim of a job that cannot be polled,
    or the end of a queued job's own pause."""
    CONFIRM = "confirm"
    """A status call that decides a claim; takes priority over other polls."""
    POLL = "poll"
    """The next status call, or cancel request to the provider."""
    ARCHIVE = "archive"
    """The next download of a result file."""
    DELIVER = "deliver"
    """The next attempt at a webhook. Its rows are in `deliveries`."""


@dataclass(frozen=True, slots=True)
class Due:
    """When a job needs attention next, and for what."""

    lane: Lane
    at: Millis


@dataclass(frozen=True, slots=True)
class Lease:
    """The exclusive right to work on something, until a time."""

    holder: str
    until: Millis
