"""The stored record of a provider's rate limiting (429, or 503 with Retry-After).

The rules are in `receiver.domain.holds`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from store.records.times import Millis


@dataclass(frozen=True, slots=True)
class Refusal:
    """A submission that the provider refused for now."""

    request_id: str
    user_id: int
    user: str
    status_code: int


@dataclass(frozen=True, slots=True)
class Hold:
    """No submission before `until`; the next one after that is a probe."""

    until: Millis
    """During a probe: when the next probe may be sent if this one gets no answer."""
    length: Millis
    """Its original length, which the next hold doubles; 0 if its probe came long after it."""
    refusals: tuple[Refusal, ...]
    """The refusals that caused it, oldest first; never empty."""
    probes: tuple[str, ...] = ()
    """Jobs sent as probes since it ended."""


@dataclass(frozen=True, slots=True)
class LimitedUser:
    """A user who was refused while another user's submission was accepted: the provider limits this
    user alone."""

    seen_at: Millis
    """When a submission of the user was last refused."""
    hold: Hold | None = None


@dataclass(frozen=True, slots=True)
class ProviderHolds:
    """One provider's recorded refusals."""

    everybody: Hold | None = None
    users: Mapping[int, LimitedUser] = field(default_factory=dict)
    """By user id: users whose refusals hold no other user."""
    jobs: Mapping[str, Millis] = field(default_factory=dict)
    """Jobs refused while another job of their user was accepted, with the time of the last
    refusal: their refusals hold no other job."""
