"""URLs in a provider's answers. The operator's key must not be sent to other hosts."""

import re
from typing import Any
from urllib.parse import SplitResult, urlsplit

_USABLE = re.compile(r"[!-~]{1,2048}")


def own_target(url: Any, base_url: str) -> str | None:
    """Path and query of `url` if it has the scheme, host and port of `base_url`.

    None for a URL of another origin, and for anything that is not a usable URL.
    """
    if not isinstance(url, str) or not _USABLE.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        is_own = _origin(parts) == _origin(urlsplit(base_url))
    except ValueError:
        return None
    if not is_own or "@" in parts.netloc or not parts.path.startswith("/"):
        return None
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default
