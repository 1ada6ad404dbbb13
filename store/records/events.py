"""A job's history: events, which have a position in their user's log, and notes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from store.records.times import Millis


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in one user's event log: a contiguous number and a nonce.

    A restored backup may reuse numbers that a client has already seen. The nonce is random for each
    event, so a cursor from the lost history is recognised.
    """

    seq: int
    nonce: str

    def __str__(self) -> str:
        return f"{self.seq}.{self.nonce}"


@dataclass(frozen=True, slots=True)
class Event:
    """One durable entry of a job's history, as sent on streams."""

    cursor: Cursor
    job_id: str
    at: Millis
    data: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A history entry that is not an event."""

    type: str
    detail: Mapping[str, Any]
    at: Millis | None = None
    """None means the transition's `job.updated_at`, which only a visible change updates."""
