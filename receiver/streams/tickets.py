"""Stream tickets: short-lived, signed permissions to read a stream, for browsers.

An EventSource cannot set headers, so a ticket travels in the address. It is signed, not encrypted,
and therefore holds a key's hash and never the key.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from itsdangerous import URLSafeSerializer

from store.records import Millis

_SALT = b"receiver.ticket"

_LONGEST = 1024
"""Characters of a ticket; ours have about 200."""


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
        if not keys:
            raise ValueError("a ticket needs at least one key")
        self._serializers = tuple(
            URLSafeSerializer(
                key,
                salt=_SALT,
                signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
            )
            for key in keys
        )

    def issue(self, ticket: Ticket) -> str:
        """The ticket as text: ASCII, safe in a query."""
        payload = [ticket.user_id, ticket.key_hash, ticket.request_id, ticket.expires_at]
        return self._serializers[0].dumps(payload)

    def read(self, text: str, now: Millis) -> Ticket:
        """The ticket that `text` holds.

        Raises:
            BadTicket: any character differs from what one of the keys signed.
            ExpiredTicket: it is over at `now`.
        """
        if len(text) > _LONGEST or not text.isascii():
            raise BadTicket
        signed, _, _ = text.rpartition(".")
        given = text.encode("ascii")
        for serializer in self._serializers:
            # Signed again and compared whole, since itsdangerous reads base64 leniently: of one
            # signature it takes several spellings.
            if hmac.compare_digest(serializer.make_signer().sign(signed), given):
                return _current(serializer.loads(text), now)
        raise BadTicket


def _current(payload: object, now: Millis) -> Ticket:
    match payload:
        case [int(user_id), str(key_hash), (str() | None) as request_id, int(expires_at)]:
            ticket = Ticket(user_id, key_hash, request_id, expires_at)
        case _:  # signed by another version of ours
            raise BadTicket
    if now >= ticket.expires_at:
        raise ExpiredTicket
    return ticket
