"""Request bodies: read within bounds of size and time, and parsed strictly."""

import asyncio
import re
from typing import Any

from starlette.types import Receive, Scope

from receiver.http_api.errors import Problem
from receiver.json_text import UnreadableJson, parse

BODY_SECONDS = 30.0
"""A body that takes longer to arrive is a client that trickles."""

_SURROGATES = re.compile("[\ud800-\udfff]")


class ClientGone(Exception):
    """The client went away before its request was whole; nobody is left to be answered."""


def too_large(limit: int) -> Problem:
    """A body over the limit. What is still to come of it is read and dropped: a connection that is
    closed with bytes unread is reset, and most clients would not see this answer."""
    return Problem(413, "body_too_large", f"The body is larger than {limit} bytes.")


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body, of at most `limit` bytes.

    Raises:
        Problem: 413 over the limit, 415 for a Content-Encoding, 408 when it trickles.
        ClientGone: see there.
    """
    for name, value in scope["headers"]:
        if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise Problem(
                415,
                "unsupported_content_encoding",
                "Send the body as it is, without a Content-Encoding.",
                headers={"Accept-Encoding": "identity"},
            )
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise too_large(limit)
    began = asyncio.get_running_loop().time()
    chunks = []
    size = 0
    while True:
        # It returns at least once a second, with nothing where nothing came: no timer is needed,
        # which would cost more than most bodies (`receiver.http_connection`).
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if asyncio.get_running_loop().time() - began > BODY_SECONDS:
            raise Problem(
                408,
                "body_too_slow",
                f"The body did not arrive within {BODY_SECONDS:g} seconds.",
                headers={"Connection": "close"},
            )


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body.

    Raises:
        Problem: 400, saying what is wrong with it.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unreadable(f"no UTF-8 at byte {error.start}") from None
    try:
        value = parse(text)
    except UnreadableJson as error:
        raise _unreadable(str(error)) from None
    if not isinstance(value, dict):
        raise _unreadable("no JSON object")
    # Only an escape can bring a surrogate in, since the bytes are UTF-8: most bodies have none.
    if "\\u" in text and _has_surrogate(value):
        raise _unreadable("a lone surrogate")
    return value


def _unreadable(why: str) -> Problem:
    return Problem(400, "invalid_json", f"The body must be a JSON object, and it is not: {why}.")


def _has_surrogate(value: Any) -> bool:
    match value:
        case str():
            return _SURROGATES.search(value) is not None
        case dict():
            return any(_has_surrogate(name) or _has_surrogate(v) for name, v in value.items())
        case list():
            return any(map(_has_surrogate, value))
        case _:
            return False
