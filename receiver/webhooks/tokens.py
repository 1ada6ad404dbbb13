"""The tokens in callback URLs. Each names one job of one provider and cannot be guessed.

The provider's callbacks are not signed, and their URL is the only secret, so we sign the URL. The
signed text is the end of its path, `provider/job_id`. The token is the part after the provider's
name, `job_id.signature`.
"""

from collections.abc import Sequence

from receiver.signed_text import TextSigner


class CallbackTokens:
    """Signs and verifies the tokens of callback URLs."""

    def __init__(self, keys: Sequence[str]) -> None:
        """`keys` are newest first: the first one signs, all of them verify.

        Raises:
            ValueError: `keys` is empty.
        """
        self._signer = TextSigner(keys, b"receiver.callback")

    def sign(self, provider: str, job_id: str) -> str:
        """The token for `job_id` of `provider`: ASCII, one path segment."""
        return self._signer.sign(f"{provider}/{job_id}").removeprefix(f"{provider}/")

    def verify(self, provider: str, token: str) -> str | None:
        """The job id in `token`; None if it was not signed by one of the keys for `provider`."""
        path = self._signer.verify(f"{provider}/{token}")
        return None if path is None else path.removeprefix(f"{provider}/")
