"""Signed texts, for what a client keeps and sends back (callback URLs, tickets, sessions).

They are signed, not encrypted: clients can read a text but not change it.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, Final

from itsdangerous import Signer, URLSafeSerializer

_ENCODING: Final = URLSafeSerializer("")
"""Encodes payloads; its own signing is not used."""


class TextSigner:
    """Appends signatures to texts for one purpose, and checks them."""

    def __init__(self, keys: Sequence[str], salt: bytes) -> None:
        """`keys` are newest first: the first one signs, all of them verify. `salt` names the
        purpose: a text signed for one is invalid for any other.

        Raises:
            ValueError: `keys` is empty.
        """
        if not keys:
            raise ValueError("signing needs at least one key")
        self._signers = [
            Signer(key, salt, key_derivation="hmac", digest_method=hashlib.sha256) for key in keys
        ]

    def sign(self, text: str) -> str:
        """The ASCII text with a dot and its signature, 43 characters of URL-safe base64."""
        return self._signers[0].sign(text).decode("ascii")

    def verify(self, signed: str) -> str | None:
        """The text without its signature; None if it was not signed by one of the keys."""
        if not signed.isascii():
            return None
        text, _, _ = signed.rpartition(".")
        given = signed.encode("ascii")
        for signer in self._signers:
            # Signed again and compared as a whole: itsdangerous decodes base64 leniently and
            # accepts several spellings of one signature.
            if hmac.compare_digest(signer.sign(text), given):
                return text
        return None


class PayloadSigner:
    """Signs payloads that can be written as JSON, for one purpose, and reads them."""

    def __init__(self, keys: Sequence[str], salt: bytes) -> None:
        """As for `TextSigner`."""
        self._signer = TextSigner(keys, salt)

    def sign(self, payload: Any) -> str:
        """The payload as ASCII text that is safe in a query string or cookie."""
        return self._signer.sign(_ENCODING.dump_payload(payload).decode("ascii"))

    def read(self, signed: str) -> Any:
        """The payload; None if it was not signed by one of the keys."""
        text = self._signer.verify(signed)
        return None if text is None else _ENCODING.load_payload(text.encode("ascii"))


class CallbackTokens:
    """Signs and verifies the tokens of callback URLs. Each names one job of one provider.

    The signed text is the end of the URL's path, `provider/job_id`. The token is the part after the
    provider's name, `job_id.signature`. Callbacks of some providers are not signed: then this
    secret in their URL is all that protects a job.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        """As for `TextSigner`."""
        self._signer = TextSigner(keys, b"receiver.callback")

    def sign(self, provider: str, job_id: str) -> str:
        """The token for `job_id` of `provider`: ASCII, one path segment."""
        return self._signer.sign(f"{provider}/{job_id}").removeprefix(f"{provider}/")

    def verify(self, provider: str, token: str) -> str | None:
        """The job id in `token`; None if it was not signed by one of the keys for `provider`."""
        path = self._signer.verify(f"{provider}/{token}")
        return None if path is None else path.removeprefix(f"{provider}/")
