"""Signed payloads as text, for values that a client keeps and sends back (tickets, sessions).

They are signed, not encrypted: clients can read the text but not change it.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, Final

from itsdangerous import URLSafeSerializer

_LONGEST: Final = 1024
"""Characters; ours have about 200, and longer texts are not hashed."""


class BadSignature(Exception):
    """Not a text signed by one of our keys for this purpose."""


class SignedText:
    """Signs payloads for one purpose, and reads them."""

    def __init__(self, keys: Sequence[str], salt: bytes) -> None:
        """`keys` are newest first: the first one signs, all of them verify. `salt` names the
        purpose: a text signed for one is invalid for any other.

        Raises:
            ValueError: `keys` is empty.
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
        """The payload (ready for JSON) as ASCII text that is safe in a query string or cookie."""
        return self._serializers[0].dumps(payload)

    def read(self, text: str) -> Any:
        """The payload in `text`.

        Raises:
            BadSignature: it is not exactly a text signed by one of the keys.
        """
        if len(text) > _LONGEST or not text.isascii():
            raise BadSignature
        signed, _, _ = text.rpartition(".")
        given = text.encode("ascii")
        for serializer in self._serializers:
            # Signed again and compared as a whole: itsdangerous decodes base64 leniently and
            # accepts several spellings of one signature.
            if hmac.compare_digest(serializer.make_signer().sign(signed), given):
                return serializer.loads(text)
        raise BadSignature
