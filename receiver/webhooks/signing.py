"""Signed messages to users, by the Standard Webhooks specification, version 1."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

from store.records import Millis


def sign(secrets: Sequence[str], message_id: str, at: Millis, body: bytes) -> dict[str, str]:
    """The three headers that let a receiver check `body`.

    Args:
        secrets: the `whsec_…` secrets that sign; two of them for a while after a rotation, so that
            a receiver that knows either one can verify.
        message_id: the same at every attempt, so that a receiver can drop what it has had.
        at: the moment of this attempt; receivers refuse what is minutes old.
        body: the exact bytes that are sent, as UTF-8.

    Raises:
        ValueError: there is no secret, one that is not base64, or a body that is not UTF-8.
    """
    if not secrets:
        raise ValueError("a message needs at least one secret")
    timestamp = at // 1000
    moment = datetime.fromtimestamp(timestamp, UTC)
    text = body.decode("utf-8")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(
            Webhook(secret).sign(message_id, moment, text) for secret in secrets
        ),
    }


def new_secret(random_bytes: bytes) -> str:
    """A `whsec_…` secret made of `random_bytes`.

    Raises:
        ValueError: not 24 to 64 bytes, the bounds of the specification.
    """
    if not 24 <= len(random_bytes) <= 64:
        raise ValueError("a signing secret is made of 24 to 64 random bytes")
    return f"whsec_{base64.b64encode(random_bytes).decode('ascii')}"
