"""The shape of all error responses."""

from http import HTTPStatus
from typing import Any, Final

# A status that we pass on from a provider is not always one of these.
_TITLES: Final = {status.value: status.phrase for status in HTTPStatus}


def problem(status: int, code: str, detail: str) -> dict[str, Any]:
    """The body of an error response (RFC 9457), with `message` for clients of the provider's
    API."""
    return {
        "type": "about:blank",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "message": detail,
        "code": code,
    }
