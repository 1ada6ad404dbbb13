"""A stored callback, and what became of it."""

from dataclasses import dataclass
from enum import StrEnum

from store.records.jobs import Evidence


class Verdict(StrEnum):
    """The result of processing a callback."""

    APPLIED = "applied"
    """It changed the job, or repeated what was known. For a claim: it was accepted unconfirmed
    (`confirmed` false), or claims need no confirmation."""
    CLAIMED = "claimed"
    """A claim that waits for a status call."""
    CONFIRMED = "confirmed"
    """A claim that a status call confirmed."""
    DENIED = "denied"
    """A claim that a status call contradicted."""
    LATE = "late"
    """Not used: the job was finished already, another claim was chosen, there were too many claims,
    or the job is known to be COMPLETED."""
    CONFLICT = "conflict"
    """It named another provider_request_id than the job's, or one that another job has."""
    REJECTED = "rejected"
    """Not a JSON object."""
    FAILED = "failed"
    """Applying it failed; the job is polled instead."""


@dataclass(frozen=True, slots=True)
class CallbackVerdict:
    """A callback's verdict, written with the change that it caused."""

    callback_id: int
    verdict: Verdict
    confirmed: bool | None = None
    """For a claim: whether a status call confirmed it. None if that does not apply."""
    evidence: Evidence = Evidence.CALLBACK
    """What the verdict is based on."""
