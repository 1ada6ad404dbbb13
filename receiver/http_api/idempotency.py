"""Reads Idempotency-Key (draft-ietf-httpapi-idempotency-key-header)."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request

from receiver.http_api.context import ApiContext
from receiver.http_api.errors import Problem
from store.idempotency import IdempotencyKey
from store.records.times import Millis

KEY_LIFETIME: Millis = 7 * 24 * 3600 * 1000
IN_USE_SLACK: Millis = 5_000
"""How long a key is in use beyond the request's own wait. Normally the request releases it
earlier."""

_KEY: Final = re.compile(r'([!#-~](?:[ !#-~]{0,253}[!#-~])?)|"((?:[ !#-\[\]-~]|\\["\\]){1,255})"')
"""1 to 255 printable ASCII characters: bare, or as a string of RFC 9651."""


def read_key(
    context: ApiContext, request: Request, body: Mapping[str, Any], in_use: Millis
) -> IdempotencyKey | None:
    """The request's key, in use for at most that many milliseconds; None if there is none.

    Raises:
        Problem: 400, if it is not one key of 1 to 255 printable ASCII characters.
    """
    values = request.headers.getlist("idempotency-key")
    if not values:
        return None
    found = _KEY.fullmatch(values[0].strip()) if len(values) == 1 else None
    if found is None:
        raise Problem(
            400,
            "invalid_idempotency_key",
            "Idempotency-Key must be one string of 1 to 255 printable ASCII characters,"
            " quoted or not.",
        )
    bare, quoted = found.groups()
    now = context.services.clock.now()
    return IdempotencyKey(
        path=request.url.path,
        key=bare or re.sub(r"\\(.)", r"\1", quoted),
        fingerprint=fingerprint(body),
        sent_at=now,
        in_use_until=now + in_use,
        expires_at=now + KEY_LIFETIME,
    )


def fingerprint(body: Mapping[str, Any]) -> str:
    """A digest of a body's value. The order of members, and `1.0` for `1`, make no difference.
    (Larger floats are not exact.)"""
    text = json.dumps(_plain(body), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _plain(value: Any) -> Any:
    match value:
        case float() if value.is_integer() and abs(value) < 2**53:
            return int(value)
        case dict():
            return {name: _plain(member) for name, member in value.items()}
        case list():
            return [_plain(member) for member in value]
        case _:
            return value
