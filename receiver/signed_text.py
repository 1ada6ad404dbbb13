"""Signed texts, for what others keep and send back: callback addresses, tickets, sessions, cursors.

They are signed, not encrypted: anybody can read a text but not change it.
"""

import hashlib
import hmac
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

import itsdangerous

_ENCODING: Final = itsdangerous.URLSafeSerializer("")
"""Encodes payloads; its own signing is not used."""


class Purpose(StrEnum):
    """What a text is signed for; one that was signed for another purpose is invalid."""

    CALLBACK = "receiver.callback"
    """The end of a callback's path, `provider/job_id`. Callbacks of some providers are not signed:
    then this secret in their URL is all that protects a job."""
    CURSOR = "receiver.cursor"
    """Where a list goes on."""
    SESSION = "receiver.session"
    TICKET = "receiver.ticket"


class Signer:
    """Signs texts, and payloads that can be written as JSON, and checks them."""

    def __init__(self, keys: Sequence[str]) -> None:
        """`keys` are newest first: the first one signs, all of them verify.

        Raises:
            ValueError: `keys` is empty.
        """
        if not keys:
            raise ValueError("signing needs at least one key")
        options: dict[str, Any] = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        self._signers = {
            purpose: [itsdangerous.Signer(key, purpose, **options) for key in keys]
            for purpose in Purpose
        }

    def sign(self, purpose: Purpose, text: str) -> str:
        """The ASCII text with a dot and its signature, 43 characters of URL-safe base64."""
        return self._signers[purpose][0].sign(text).decode("ascii")

    def verify(self, purpose: Purpose, signed: str) -> str | None:
        """The text without its signature; None if it was not signed by one of the keys."""
        if not signed.isascii():
            return None
        text, _, _ = signed.rpartition(".")
        given = signed.encode("ascii")
        for signer in self._signers[purpose]:
            # Signed again and compared as a whole: itsdangerous decodes base64 leniently and
            # accepts several spellings of one signature.
            if hmac.compare_digest(signer.sign(text), given):
                return text
        return None

    def dump(self, purpose: Purpose, payload: Any) -> str:
        """The payload as ASCII text that is safe in a query string or cookie."""
        return self.sign(purpose, _ENCODING.dump_payload(payload).decode("ascii"))

    def load(self, purpose: Purpose, signed: str) -> Any:
        """The payload; None if it was not signed by one of the keys."""
        text = self.verify(purpose, signed)
        return None if text is None else _ENCODING.load_payload(text.encode("ascii"))
