"""JSON responses, and conditional requests."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from receiver.domain.serialization import compact_json

JSON: Final = "application/json"
NOT_STORED: Final = {"Cache-Control": "no-store"}
"""Headers of a response that no cache may keep."""


def json_response(
    document: Mapping[str, Any], status_code: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """The document as one line of ASCII JSON."""
    return Response(compact_json(document), status_code, headers, media_type=JSON)


def none_match(header: str | None, tag: str) -> bool:
    """Whether If-None-Match contains the tag (RFC 9110, 13; weak comparison)."""
    if header is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or tag in tags
