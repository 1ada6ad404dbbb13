"""JSON responses, and conditional requests."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

from starlette.responses import Response

from receiver.domain.serialization import compact_json

JSON: Final = "application/json"
NO_STORE: Final = {"Cache-Control": "no-store"}
"""For responses that no cache may keep. A shared cache treats responses to requests with
`Authorization` as private, but not those to requests with `API-KEY` (RFC 9111, 3.5)."""


def json_response(document: Mapping[str, Any], status_code: int = 200) -> Response:
    """The document as one line of ASCII JSON."""
    return Response(compact_json(document), status_code, NO_STORE, media_type=JSON)


async def list_response(name: str, entries: Iterable[Mapping[str, Any]], **more: Any) -> Response:
    """A document with a list `name` and `more` members, which is made in a thread, entry by entry:
    other requests are served while megabytes are encoded."""

    def encode() -> bytes:
        start, _, end = compact_json({name: [], **more}).partition(b"[]")
        return b"%b[%b]%b" % (start, b",".join(map(compact_json, entries)), end)

    return Response(await asyncio.to_thread(encode), headers=NO_STORE, media_type=JSON)


def etag_matches(header: str | None, tag: str) -> bool:
    """Whether If-None-Match contains the tag (RFC 9110, 13; weak comparison)."""
    if header is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or tag in tags
