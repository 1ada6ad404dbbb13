"""Signed payloads as text: for what a client keeps for us and hands back (tickets, sessions).

Signed, not encrypted: whoever holds the text can read it, and can change no character of it.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, Final

from itsdangerous import URLSafeSerializer

_LONGEST: Final = 1024
"""Characters; ours have about 200, and more is rubbish that is not worth a hash."""


class BadSignature(Exception):
    """Not a text that one of our keys has signed for this purpose."""


class SignedText:
    """Signs payloads for one purpose, and reads them."""

    def __init__(self, keys: Sequence[str], salt: bytes) -> None:
        """`keys` are newest first: the first one signs, all of them verify. `salt` names the
        purpose: what is signed for one is bad for every other.

        Raises:
            ValueError: there is no key.
        """
        if not keys:
            raise ValueError("signing needs at least one key")
        self._serializers = tuple(
            URLSafeSerializer(
                key,
                salt=salt,
                signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
            )
            for key in keys
        )

    def sign(self, payload: Any) -> str:
        """The payload (ready for JSON) as text: ASCII, safe in a query and in a cookie."""
        return self._serializers[0].dumps(payload)

    def read(self, text: str) -> Any:
        """The payload that `text` holds.

        Raises:
            BadSignature: any character differs from what one of the keys signed.
        """
        if len(text) > _LONGEST or not text.isascii():
            raise BadSignature
        signed, _, _ = text.rpartition(".")
        given = text.encode("ascii")
        for serializer in self._serializers:
            # Signed again and compared whole, since itsdangerous reads base64 leniently: of one
            # signature it takes several spellings.
            if hmac.compare_digest(serializer.make_signer().sign(signed), given):
                return serializer.loads(text)
        raise BadSignature
