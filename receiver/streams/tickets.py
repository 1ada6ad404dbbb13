"""Stream tickets: short-lived, signed permissions to read a stream, for browsers.

An EventSource cannot set headers, so the ticket is in the URL. It is signed, not encrypted, so it
holds the hash of a key and never the key.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from receiver.signed_text import BadSignature, SignedText
from store.records import Millis


class BadTicket(Exception):
    """Not a ticket signed by one of our keys."""


class ExpiredTicket(BadTicket):
    """The ticket has expired."""


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


class Tickets:
    """Issues and reads stream tickets."""

    def __init__(self, keys: Sequence[str]) -> None:
        """`keys` are newest first: the first one signs, all of them verify.

        Raises:
            ValueError: `keys` is empty.
        """
        self._texts = SignedText(keys, b"receiver.ticket")

    def issue(self, ticket: Ticket) -> str:
        """The ticket as ASCII text that is safe in a query string."""
        return self._texts.sign(
            [ticket.user_id, ticket.key_hash, ticket.request_id, ticket.expires_at]
        )

    def read(self, text: str, now: Millis) -> Ticket:
        """The ticket in `text`.

        Raises:
            BadTicket: it is not exactly a text signed by one of the keys.
            ExpiredTicket: it has expired at `now`.
        """
        try:
            payload = self._texts.read(text)
        except BadSignature:
            raise BadTicket from None
        match payload:
            case [int(user_id), str(key_hash), (str() | None) as request_id, int(expires_at)]:
                ticket = Ticket(user_id, key_hash, request_id, expires_at)
            case _:  # signed by another release
                raise BadTicket
        if now >= ticket.expires_at:
            raise ExpiredTicket
        return ticket
