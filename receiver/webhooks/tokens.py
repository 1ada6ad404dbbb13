"""The tokens in callback URLs. Each names one job of one provider and cannot be guessed.

The provider's callbacks are not signed, and their URL is the only secret, so we sign the URL. The
signed text is the end of its path, `provider/job_id`. The token is the part after the provider's
name, `job_id.signature`; the signature is 43 characters of URL-safe base64 (HMAC-SHA-256).
"""

import hashlib
import hmac
from collections.abc import Sequence

from itsdangerous import Signer
from itsdangerous.signer import SigningAlgorithm

_SALT = b"receiver.callback"

_LONGEST = 256
"""Maximum length of provider name and token together; longer texts are not hashed."""


class BadToken(Exception):
    """Not a token signed by one of our keys for this provider."""


class CallbackTokens:
    """Signs and verifies the tokens of callback URLs."""

    def __init__(self, keys: Sequence[str]) -> None:
        """`keys` are newest first: the first one signs, all of them verify.

        Raises:
            ValueError: `keys` is empty.
        """
        if not keys:
            raise ValueError("signing tokens needs at least one key")
        self._signers = tuple(_signer(key) for key in keys)

    def sign(self, provider: str, job_id: str) -> str:
        """The token for `job_id` of `provider`: ASCII, one path segment."""
        path = self._signers[0].sign(f"{provider}/{job_id}").decode("ascii")
        return path.removeprefix(f"{provider}/")

    def verify(self, provider: str, token: str) -> str:
        """The job id in `token`.

        Raises:
            BadToken: it is not exactly a token signed by one of the keys for `provider`.
        """
        path = f"{provider}/{token}"
        if len(path) > _LONGEST or not path.isascii():
            raise BadToken
        signed, _, _ = path.rpartition(".")
        given = path.encode("ascii")
        for signer in self._signers:
            # Signed again and compared as a whole: itsdangerous decodes base64 leniently and
            # accepts several spellings of one signature.
            if hmac.compare_digest(signer.sign(signed), given):
                return signed.removeprefix(f"{provider}/")
        raise BadToken


class _HmacSha256(SigningAlgorithm):
    """HMAC-SHA-256 with one key, which is hashed once. OpenSSL's one-shot call looks up the
    algorithm each time and costs ten times as much."""

    def __init__(self, key: bytes) -> None:
        self._keyed = hmac.new(key, digestmod="sha256")

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        mac = self._keyed.copy()
        mac.update(value)
        return mac.digest()


def _signer(key: str) -> Signer:
    """A signer whose key is derived once here, not at every callback."""
    derived = Signer(key, _SALT, key_derivation="hmac", digest_method=hashlib.sha256).derive_key()
    return Signer(derived, key_derivation="none", algorithm=_HmacSha256(derived))
