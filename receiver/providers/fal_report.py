"""Lenient reading of fal's webhooks, status answers, errors and keys. Pure."""

import base64
from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from receiver.domain.answers import Report
from receiver.providers import words
from store.records.jobs import Status

_WORDS: Final = {
    "IN_QUEUE": Status.PENDING,
    "IN_PROGRESS": Status.IN_PROGRESS,
    "COMPLETED": Status.COMPLETED,
    # in webhooks
    "OK": Status.COMPLETED,
    "ERROR": Status.FAILED,
}
_CANCELLED: Final = "client_cancelled"


def read_state(body: Mapping[str, Any]) -> Report | None:
    """The report of a body, without the result; None if there is no status."""
    status = read_status(body)
    if status is None:
        return None
    failed = status in (Status.FAILED, Status.CANCELLED)
    return Report(
        status=status,
        word=words.read_word(body.get("status")),
        message=_read_failure(body) if failed else None,
        provider_request_id=read_request_id(body),
    )


def read_request_id(body: Mapping[str, Any]) -> str | None:
    """The request's id. `gateway_request_id` differs from it after a retry inside fal."""
    return words.read_id(body.get("request_id"))


def read_status(body: Mapping[str, Any]) -> Status | None:
    """The status, None if there is none. Outside webhooks, a failure is COMPLETED with an error."""
    word = body.get("status")
    status = words.read_status(word, _WORDS)
    has_error = body.get("error") or body.get("error_type")
    if status is Status.FAILED or (has_error and str(word).strip().upper() == "COMPLETED"):
        return read_end(body)
    return status


def read_end(body: Mapping[str, Any]) -> Status:
    """The final status of a request that did not succeed."""
    inner = body.get("payload")
    parts = [body, inner] if isinstance(inner, dict) else [body]
    said = [part.get(name) for part in parts for name in ("error_type", "error", "detail")]
    cancelled = any(isinstance(text, str) and _CANCELLED in text for text in said)
    return Status.CANCELLED if cancelled else Status.FAILED


def _read_failure(body: Mapping[str, Any]) -> str | None:
    """The error of a webhook or status answer, followed by the model's own message."""
    inner = body.get("payload")
    model = read_message(inner) if isinstance(inner, dict) else None
    texts = dict.fromkeys(filter(None, [read_message(body), model]))
    return words.read_message(": ".join(texts))


def read_message(body: Mapping[str, Any]) -> str | None:
    """`detail`, which is a string or a list of validation errors; else the error."""
    detail = body.get("detail")
    if isinstance(detail, list):
        faults = filter(None, map(_read_fault, detail[:20]))
        return words.read_message("; ".join(faults))
    texts = (detail, body.get("error"), body.get("message"), body.get("payload_error"))
    return next(filter(None, map(words.read_message, texts)), None)


def _read_fault(fault: Any) -> str | None:
    if not isinstance(fault, dict) or not isinstance(message := fault.get("msg"), str):
        return None
    path = fault.get("loc")
    names = path[:8] if isinstance(path, list) else []
    where = ".".join(str(name) for name in names if isinstance(name, str | int))
    return f"{where}: {message}" if where else message


def read_keys(jwks: Mapping[str, Any]) -> list[Ed25519PublicKey]:
    """The valid Ed25519 keys of a JWKS."""
    given = jwks.get("keys")
    found = map(_read_key, given if isinstance(given, list) else ())
    return [key for key in found if key is not None]


def _read_key(given: Any) -> Ed25519PublicKey | None:
    """A key of a JWKS; None if it is not a valid Ed25519 key."""
    encoded = given.get("x") if isinstance(given, dict) else None
    if not isinstance(encoded, str) or given.get("crv", "Ed25519") != "Ed25519":
        return None
    try:
        # Padding is optional.
        raw = base64.urlsafe_b64decode(encoded.rstrip("=") + "=" * (-len(encoded.rstrip("=")) % 4))
        return Ed25519PublicKey.from_public_bytes(raw)
    except ValueError:
        return None
