"""Stream tickets: short-lived, signed permissions to read a stream, for browsers.

An EventSource cannot set headers, so the ticket is in the URL. It is signed, not encrypted, so it
holds the hash of a key and never the key.
"""

from dataclasses import astuple, dataclass

from receiver.signed_text import Purpose, Signer
from store.records.times import Millis


@dataclass(frozen=True, slots=True)
class Ticket:
    """Permission to read a stream for a limited time."""

    user_id: int
    key_hash: str
    """Hex SHA-256 of the API key that requested it; the ticket ends when that key is revoked."""
    request_id: str | None
    """The one job that it opens; None opens the stream of all the user's jobs."""
    expires_at: Millis
    """The first millisecond at which it is no longer valid."""


def issue(signer: Signer, ticket: Ticket) -> str:
    """The ticket as ASCII text that is safe in a query string."""
    return signer.dump(Purpose.TICKET, astuple(ticket))


def read(signer: Signer, text: str, now: Millis) -> Ticket | None:
    """The ticket in `text`; None if it has expired, or was not signed by one of the keys."""
    match signer.load(Purpose.TICKET, text):
        case [
            int(user_id),
            str(key_hash),
            (str() | None) as request_id,
            int(expires_at),
        ] if now < expires_at:
            return Ticket(user_id, key_hash, request_id, expires_at)
        case _:  # also a ticket of another release
            return None
