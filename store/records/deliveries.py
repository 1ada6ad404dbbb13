"""Webhooks to users: a message, its delivery and the attempts."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

from store.records.jobs import Status
from store.records.times import Millis


class DeliveryState(StrEnum):
    """The state of one relay message."""

    PENDING = "pending"
    """To be sent or retried."""
    DELIVERED = "delivered"
    """Answered with 2xx."""
    SKIPPED = "skipped"
    """Replaced before it was delivered: by a newer message or, a failure that we declared, by the
    job's real outcome."""
    EXHAUSTED = "exhausted"
    """Every attempt of the schedule failed."""
    DISABLED = "disabled"
    """The address answered 410 to this or another message of the job."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a delivery."""

    at: Millis
    status_code: int | None
    error: str | None
    duration_ms: int
    excerpt: str | None
    """The first characters of the response body."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One relay message and its attempts; the fields are in the order of the view's columns."""

    id: str
    """The `webhook-id`, the same at every attempt."""
    job_id: str
    user_id: int
    status: Status
    seq: int
    state: DeliveryState
    url: str
    host: str
    """Name and port; the unit of the per-host limits."""
    body: bytes
    """Without the members that `receiver.engine.messages` adds."""
    step: int
    """Attempts made in the current run of the schedule."""
    created_at: Millis
    next_attempt_at: Millis | None
    delivered_at: Millis | None
    attempts: tuple[Attempt, ...]
    user: str
    source: str | None
    """`Job.source`: whose webhooks it is shaped like."""


def normal_host(name: str) -> str:
    """The one spelling of a host that counts for the per-host limits: lower case, without a dot at
    the end, and the canonical form of an address."""
    name = name.lower().rstrip(".")
    try:
        return str(ip_address(name))
    except ValueError:
        return name


def host_of(url: str) -> str:
    """`name:port` in normal form, for the per-host limits."""
    parts = urlsplit(url)
    name = normal_host(parts.hostname or "")
    port = parts.port or (80 if parts.scheme == "http" else 443)
    return f"{name}:{port}"


@dataclass(frozen=True, slots=True)
class RelayMessage:
    """A webhook to the user, for the outbox."""

    final: bool
    """A final status: never skipped, unless `provisional`."""
    provisional: bool
    """A failure that we declared: if undelivered, the provider's own outcome replaces it."""
    status: Status
    body: bytes
    delay: Millis = 0
    """The first attempt is due this long after `at`."""
    at: Millis | None = None
    """Its time by the clock. None means the transition's `job.updated_at`, which never goes back
    and so is in the future after the clock was set back."""
