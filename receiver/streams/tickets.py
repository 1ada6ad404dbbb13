"""Stream tickets: short-lived, signed permissions to read a stream, for browsers.

An EventSource cannot set headers, so a ticket travels in the address. It is signed, not encrypted,
and therefore holds a key's hash and never the key.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from receiver.signed_text import BadSignature, SignedText
from store.records import Millis


class BadTicket(Exception):
    """Not a ticket that one of our keys has signed."""


class ExpiredTicket(BadTicket):
    """Once a good ticket; its end has come."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """Who may read what, and how long."""

    user_id: int
    key_hash: str
    """Hex SHA-256 of the API key that asked; the ticket ends when that key is revoked."""
    request_id: str | None
    """The one job that it opens; None opens the stream of all the user's jobs."""
    expires_at: Millis
    """The first moment at which it is no longer good."""


class Tickets:
    """Issues and reads stream tickets."""

    def __init__(self, keys: Sequence[str]) -> None:
        """`keys` are newest first: the first one signs, all of them verify.

        Raises:
            ValueError: there is no key.
        """
        self._texts = SignedText(keys, b"receiver.ticket")

    def issue(self, ticket: Ticket) -> str:
        """The ticket as text: ASCII, safe in a query."""
        return self._texts.sign(
            [ticket.user_id, ticket.key_hash, ticket.request_id, ticket.expires_at]
        )

    def read(self, text: str, now: Millis) -> Ticket:
        """The ticket that `text` holds.

        Raises:
            BadTicket: any character differs from what one of the keys signed.
            ExpiredTicket: it is over at `now`.
        """
        try:
            payload = self._texts.read(text)
        except BadSignature:
            raise BadTicket from None
        match payload:
            case [int(user_id), str(key_hash), (str() | None) as request_id, int(expires_at)]:
                ticket = Ticket(user_id, key_hash, request_id, expires_at)
            case _:  # signed by another version of ours
                raise BadTicket
        if now >= ticket.expires_at:
            raise ExpiredTicket
        return ticket
