"""The tokens in callback addresses: each names one job, to one provider, and cannot be guessed.

A callback of the provider carries no signature (its address is the only secret in it), so the
address is signed by us. What is signed is the tail of the address's path, `provider/job_id`, and a
token is what follows the provider's name there: `job_id.signature`, the signature being 43
characters of URL-safe base64 (HMAC-SHA-256).
"""

import hashlib
import hmac
from collections.abc import Sequence

from itsdangerous import Signer
from itsdangerous.signer import SigningAlgorithm

_SALT = b"receiver.callback"

_LONGEST = 256
"""Characters of a provider's name and a token together; more is rubbish, and not worth a hash."""


class BadToken(Exception):
    """Not a token that one of our keys has signed for this provider."""


class CallbackTokens:
    """Signs and reads the tokens of callback addresses."""

    def __init__(self, keys: Sequence[str]) -> None:
        """`keys` are newest first: the first one signs, all of them verify.

        Raises:
            ValueError: there is no key.
        """
        if not keys:
            raise ValueError("a token needs at least one key")
        self._signers = tuple(_signer(key) for key in keys)

    def sign(self, provider: str, job_id: str) -> str:
        """The token that names `job_id` to `provider`: ASCII, and one segment of a path."""
        path = self._signers[0].sign(f"{provider}/{job_id}").decode("ascii")
        return path.removeprefix(f"{provider}/")

    def verify(self, provider: str, token: str) -> str:
        """The id of the job that `token` names.

        Raises:
            BadToken: any character differs from what one of the keys signs for `provider`.
        """
        path = f"{provider}/{token}"
        if len(path) > _LONGEST or not path.isascii():
            raise BadToken
        signed, _, _ = path.rpartition(".")
        given = path.encode("ascii")
        for signer in self._signers:
            # Signed again and compared whole, since itsdangerous reads base64 leniently: of one
            # signature it takes several spellings.
            if hmac.compare_digest(signer.sign(signed), given):
                return signed.removeprefix(f"{provider}/")
        raise BadToken


class _HmacSha256(SigningAlgorithm):
    """HMAC-SHA-256 by one key, which is hashed once. OpenSSL's call for key and message together
    also looks up what HMAC is, each time, and costs ten times as much."""

    def __init__(self, key: bytes) -> None:
        self._keyed = hmac.new(key, digestmod="sha256")

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        mac = self._keyed.copy()
        mac.update(value)
        return mac.digest()


def _signer(key: str) -> Signer:
    """A signer whose key is derived once, here, and not again at every callback."""
    derived = Signer(key, _SALT, key_derivation="hmac", digest_method=hashlib.sha256).derive_key()
    return Signer(derived, key_derivation="none", algorithm=_HmacSha256(derived))
