"""Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a retry makes no second job."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from receiver.http_api.auth import Caller
from receiver.http_api.errors import Problem
from receiver.http_api.parts import Parts
from store.records import Answer, IdempotencyKey, Job, Millis, Replay

KEPT: Millis = 7 * 24 * 3600 * 1000
HOLD_SLACK: Millis = 5_000
"""What a hold outlasts the longest wait by; a live process ends it itself, at once."""

_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_LONGEST = 255


def read_key(
    parts: Parts, request: Request, body: Mapping[str, Any], hold: Millis
) -> IdempotencyKey | None:
    """The request's key, held for `hold` milliseconds at most; None where it has none.

    Raises:
        Problem: 400, the header holds no key of 1 to 255 printable ASCII characters.
    """
    values = request.headers.getlist("idempotency-key")
    if not values:
        return None
    key = _unquoted(values[0].strip()) if len(values) == 1 else None
    if key is None or not 1 <= len(key) <= _LONGEST or not (key.isascii() and key.isprintable()):
        raise Problem(
            400,
            "invalid_idempotency_key",
            f"Idempotency-Key must be one string of 1 to {_LONGEST} printable ASCII characters,"
            " quoted or bare.",
        )
    now = parts.core.clock.now()
    return IdempotencyKey(
        path=request.url.path,
        key=key,
        fingerprint=fingerprint(body),
        held_until=now + hold + HOLD_SLACK,
        expires_at=now + KEPT,
    )


async def find_replay(parts: Parts, caller: Caller, key: IdempotencyKey | None) -> Replay | None:
    """What the key led to before. Raises KeyReused and KeyHeld as the store does."""
    if key is None:
        return None
    return await parts.core.store.idempotency.find(
        caller.user_id, key.path, key.key, key.fingerprint, parts.core.clock.now()
    )


async def keep_answer(
    parts: Parts, job: Job, key: IdempotencyKey | None, answer: Answer | None
) -> None:
    """Keep the first answer with the key that made the job; None where its client went away."""
    if key is not None:
        await parts.core.store.idempotency.answered(job.id, answer)


def replayed(answer: Answer) -> Response:
    """The first answer, again."""
    headers = {**answer.headers, "Idempotency-Replayed": "true"}
    return Response(answer.body, status_code=answer.status_code, headers=headers)


def respond(answer: Answer) -> Response:
    """An answer, for the first time."""
    return Response(answer.body, status_code=answer.status_code, headers=dict(answer.headers))


def fingerprint(body: Mapping[str, Any]) -> str:
    """A digest of a body's value: the order of members, and `1.0` for `1`, make no new one."""
    text = json.dumps(_plain(body), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _plain(value: Any) -> Any:
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: _plain(member) for name, member in value.items()}
        case list():
            return [_plain(member) for member in value]
        case _:
            return value


def _unquoted(text: str) -> str | None:
    """The string in RFC 9651 quotes, or a bare one; None where the quotes do not balance."""
    if not text.startswith('"'):
        return None if '"' in text else text
    quoted = _QUOTED.fullmatch(text)
    return re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else None
