"""Request bodies: limits of size and time, and strict parsing."""

import asyncio
import json
import re
from typing import Any

from starlette.requests import Request
from starlette.types import Receive

from receiver.http_api.errors import Problem
from receiver.json_text import UnreadableJson, parse

BODY_SECONDS = 30.0
"""Time limit for receiving a body."""

_SURROGATES = re.compile("[\ud800-\udfff]")


async def disconnected(receive: Receive) -> None:
    """Wait until the client disconnects. What it still sends is dropped."""
    while (await receive())["type"] != "http.disconnect":
        pass


def too_large(limit: int) -> Problem:
    """The problem for a body over the limit. The rest of the body is still read and dropped:
    closing a connection with unread bytes resets it, and most clients would not see the answer."""
    return Problem(413, "body_too_large", f"The body is larger than {limit} bytes.")


async def read_body(request: Request, limit: int) -> bytes:
    """Read the whole body, of at most `limit` bytes.

    Raises:
        Problem: 413 over the limit, 415 for a Content-Encoding, 408 if it takes too long.
        ClientDisconnect: the client disconnected.
    """
    for name, value in request.scope["headers"]:
        if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise Problem(
                415,
                "unsupported_content_encoding",
                "Send the body without a Content-Encoding.",
                headers={"Accept-Encoding": "identity"},
            )
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise too_large(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise too_large(limit)
    except TimeoutError:
        raise Problem(
            408,
            "body_too_slow",
            f"The body did not arrive within {BODY_SECONDS:g} seconds.",
            headers={"Connection": "close"},
        ) from None
    return bytes(body)


async def read_object(request: Request, limit: int) -> dict[str, Any]:
    """Read a body that must be a JSON object, of at most `limit` bytes.

    Raises:
        Problem, ClientDisconnect: see `read_body` and `parse_object`.
    """
    return parse_object(await read_body(request, limit))


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a body that must be a JSON object.

    Raises:
        Problem: 400, if it is not.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unreadable(f"invalid UTF-8 at byte {error.start}") from None
    try:
        value = parse(text)
    except UnreadableJson as error:
        raise _unreadable(str(error)) from None
    if not isinstance(value, dict):
        raise _unreadable("it is another type of value")
    # The bytes are valid UTF-8, so only an escape can be a surrogate. Most bodies have no escape.
    if "\\u" in text and _SURROGATES.search(json.dumps(value, ensure_ascii=False)):
        raise _unreadable("it contains a lone surrogate")
    return value


def _unreadable(why: str) -> Problem:
    return Problem(400, "invalid_json", f"The body is not a valid JSON object: {why}.")
