"""The files of a result, as the job remembers them."""

from dataclasses import dataclass
from enum import StrEnum

from store.records.times import Millis


class FileState(StrEnum):
    """The state of one file of a result."""

    PENDING = "pending"
    """To be downloaded or retried."""
    STORED = "stored"
    """Complete in the archive."""
    FAILED = "failed"
    """It will not be retried."""


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """One link of a result, and the state of its file."""

    link: str
    """As in the result when the job completed, up to 8,192 characters. If the result's link is
    renewed, this one stays."""
    state: FileState = FileState.PENDING
    next_try_at: Millis | None = None
    """None unless pending."""
    tries: int = 0
    bytes: int | None = None
    content_type: str | None = None
    sha256: str | None = None
    """Hexadecimal."""
    key: str | None = None
    """Its key in the archive."""
    error: str | None = None
    """Why the last attempt failed."""
