"""Verifies the service's webhooks (https://www.standardwebhooks.com)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError, WebhookVerificationError

from receiver.client.errors import BadRelay

_SHORTEST_SECRET = 32


@dataclass(frozen=True, slots=True)
class Relay:
    """A webhook signed by the service."""

    id: str
    """The same at every attempt: remember it to drop duplicates."""
    body: dict[str, Any]
    """`type` and `timestamp`. Unless the type is `test`, also `request_id`, `status`, `seq`,
    `kind`, `metadata`, `error`, and optionally `progress`, `result` and `message`."""


def verify_relay(secrets: str | Sequence[str], headers: Mapping[str, str], body: bytes) -> Relay:
    """Verify a webhook's signature and age (at most five minutes), and return it.

    Args:
        secrets: your `whsec_…` secret, or several during a rotation.
        headers: the request's headers; names in any case.
        body: the exact bytes received, not re-encoded JSON.

    Raises:
        BadRelay: do not trust it; answer 400.
        ValueError: one of the secrets is malformed.
    """
    for webhook in _webhooks([secrets] if isinstance(secrets, str) else secrets):
        try:
            document = webhook.verify(body, dict(headers))
        # The verifier does not wrap all errors of its parts: bad base64, a surrogate, a missing
        # comma, invalid or too deeply nested JSON.
        except (WebhookVerificationError, ValueError, RecursionError):
            continue
        if isinstance(document, dict):
            lowered = {name.lower(): value for name, value in headers.items()}
            return Relay(lowered["webhook-id"], document)
    raise BadRelay("the webhook is not signed with this secret, or is too old")


def _webhooks(secrets: Sequence[str]) -> list[Webhook]:
    for secret in secrets:
        if not secret.startswith("whsec_") or len(secret) < _SHORTEST_SECRET:
            raise ValueError("a webhook secret is whsec_ followed by base64")
    try:
        return [Webhook(secret) for secret in secrets]
    except (ValueError, EmptyWebhookSecretError) as error:
        raise ValueError("a webhook secret is whsec_ followed by base64") from error
