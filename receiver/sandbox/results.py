"""Result links, and the small video behind them."""

import hmac
from hashlib import sha256
from pathlib import Path
from typing import Final

from store.records.times import Millis

CLIP: Final = Path(__file__).with_name("clip.webm")
"""Four seconds of moving colours."""
_LINK_LIFETIME: Final[Millis] = 7 * 24 * 3600 * 1000


class ResultLinks:
    """Result links that expire after seven days, like the provider's."""

    def __init__(self, base_url: str, key: bytes) -> None:
        self.base_url = base_url.rstrip("/")
        self._key = key

    def make(self, request_id: str, now: Millis) -> str:
        """A new link for a job."""
        expires = str((now + _LINK_LIFETIME) // 1000)
        signature = self._sign(request_id, expires)
        return f"{self.base_url}/results/{request_id}.webm?expires={expires}&signature={signature}"

    def is_valid(self, request_id: str, expires: str, signature: str, now: Millis) -> bool:
        """Whether these are parts of a link from `make` that has not expired."""
        expected = self._sign(request_id, expires)
        genuine = hmac.compare_digest(expected.encode(), signature.encode())
        return genuine and now < int(expires) * 1000

    def _sign(self, request_id: str, expires: str) -> str:
        return hmac.new(self._key, f"{request_id}?{expires}".encode(), sha256).hexdigest()[:32]
