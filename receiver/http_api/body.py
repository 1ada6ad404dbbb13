"""Request bodies: limits of size and time, and strict parsing."""

import asyncio
import json
import re
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from receiver.http_api.errors import Problem
from receiver.json_text import UnreadableJson, has_more_values, parse
from receiver.large_bodies import LARGE, MAX_VALUES, LargeBodies

BODY_SECONDS = 30.0
"""Time limit for receiving a body."""

T = TypeVar("T")

_SURROGATES = re.compile("[\ud800-\udfff]")


async def disconnected(receive: Receive) -> None:
    """Wait until the client disconnects. What it still sends is dropped."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def read_body(
    request: Request, limit: int, grow_to: Callable[[int], bool] = lambda _: True
) -> bytes:
    """Read the whole body, of at most `limit` bytes.

    `grow_to` is called with its length before it grows, and says whether it may.

    Raises:
        Problem: 413 over the limit, 415 for a Content-Encoding, 408 if it takes too long, 503 if
            too much is under way.
        ClientDisconnect: the client disconnected.
    """
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _collect(request, limit, grow_to)
    except TimeoutError:
        raise Problem(
            408,
            "body_too_slow",
            f"The body did not arrive within {BODY_SECONDS:g} seconds.",
            headers={"Connection": "close"},
        ) from None


async def _collect(request: Request, limit: int, grow_to: Callable[[int], bool]) -> bytes:
    def check(length: int) -> None:
        if length > limit:
            raise Problem(413, "body_too_large", f"The body is larger than {limit} bytes.")
        if not grow_to(length):
            raise Problem(
                503,
                "too_many_large_bodies",
                f"Too many requests with bodies over {LARGE} bytes are under way.",
                headers={"Retry-After": "2"},
            )

    for name, value in request.scope["headers"]:
        if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise Problem(
                415,
                "unsupported_content_encoding",
                "Send the body without a Content-Encoding.",
                headers={"Accept-Encoding": "identity"},
            )
        if name == b"content-length" and value.isdigit():
            digits = value.lstrip(b"0")[:19] or b"0"  # int() refuses 4,300 digits
            check(int(digits))
    body = bytearray()
    async for chunk in request.stream():
        check(len(body) + len(chunk))
        body += chunk
    return bytes(body)


class Bodies:
    """Reads the bodies of users' requests; large ones are parsed one at a time."""

    def __init__(self, limit: int, large: LargeBodies) -> None:
        """`limit`: of a body, in bytes."""
        self._limit = limit
        self._large = large

    async def read(self, request: Request, sender: Hashable, parse: Callable[[bytes], T]) -> T:
        """Read the body and `parse` it, in a thread if it is large. The sender is an API key.

        Raises:
            Problem: by `parse` and `read_body`.
            ClientDisconnect: the client disconnected, perhaps while it waited.
        """
        with self._large.room(sender) as grow_to:
            raw = await read_body(request, self._limit, grow_to)
            if len(raw) <= LARGE:
                return parse(raw)
            async with self._large.turn(sender):
                if await request.is_disconnected():
                    raise ClientDisconnect
                return await asyncio.to_thread(parse, raw)


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a body that must be a JSON object.

    Raises:
        Problem: 400, if it is not, or has too many values.
    """
    if has_more_values(body, MAX_VALUES):
        raise Problem(
            400,
            "too_many_values",
            f"The body has more than {MAX_VALUES:,} JSON values."
            " Send long lists of data as a link, or as one string.",
        )
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
