"""Signs messages to users by the Standard Webhooks specification, version 1."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

from store.keys import User
from store.records.times import Millis


def plain_headers(message_id: str, at: Millis) -> dict[str, str]:
    """The headers of an attempt at `at`, without the signature."""
    return {
        "content-type": "application/json",
        "user-agent": "receiver",
        "webhook-id": message_id,
        "webhook-timestamp": str(at // 1000),
    }


def secrets_of(user: User, now: Millis) -> list[str]:
    """The secrets to sign with: for a day after a rotation, also the previous one."""
    if user.previous_secret and user.previous_secret_until and now < user.previous_secret_until:
        return [user.secret, user.previous_secret]
    return [user.secret]


def sign(secrets: Sequence[str], message_id: str, at: Millis, body: bytes) -> dict[str, str]:
    """All headers of an attempt, including the signature of `body`.

    Args:
        secrets: the `whsec_…` secrets to sign with, at least one; two for a day after a rotation,
            so that an endpoint that knows either one can verify.
        message_id: the same at every attempt, so that an endpoint can detect duplicates.
        at: the time of this attempt; endpoints refuse messages that are minutes old.
        body: the exact bytes that are sent, as UTF-8.

    Raises:
        ValueError: a secret is not base64, or the body is not UTF-8.
    """
    moment = datetime.fromtimestamp(at // 1000, UTC)
    text = body.decode("utf-8")
    return plain_headers(message_id, at) | {
        "webhook-signature": " ".join(
            Webhook(secret).sign(message_id, moment, text) for secret in secrets
        ),
    }


def new_secret(random_bytes: bytes) -> str:
    """A `whsec_…` secret made of `random_bytes`; the specification asks for 24 to 64."""
    return f"whsec_{base64.b64encode(random_bytes).decode('ascii')}"
