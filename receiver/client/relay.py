"""Checking the webhooks that the service sends (https://www.standardwebhooks.com)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from receiver.client.errors import BadRelay

_SHORTEST_SECRET = 32


@dataclass(frozen=True, slots=True)
class Relay:
    """A webhook that the service has signed."""

    id: str
    """The same at every attempt: keep it, and drop what comes twice."""
    body: dict[str, Any]
    """`request_id`, `status`, `seq`, `kind`, `metadata`, `error`, and, where there is one,
    `progress`, `result` and `message`."""


def verify_relay(secrets: str | Sequence[str], headers: Mapping[str, str], body: bytes) -> Relay:
    """The webhook in a request, once its signature and its age (at most five minutes) are good.

    Args:
        secrets: your `whsec_…` secret, or several while one takes over from another.
        headers: the request's, in any case.
        body: the exact bytes that came, not JSON that was read and written again.

    Raises:
        BadRelay: do not believe it; answer 400.
        ValueError: a secret of yours is none.
    """
    for webhook in _webhooks([secrets] if isinstance(secrets, str) else secrets):
        try:
            document = webhook.verify(body, dict(headers))
        # The verifier lets what its parts raise slip through: base64, a surrogate, a missing comma,
        # JSON that is none or nested without end.
        except (WebhookVerificationError, ValueError, RecursionError):
            continue
        if isinstance(document, dict):
            lowered = {name.lower(): value for name, value in headers.items()}
            return Relay(lowered["webhook-id"], document)
    raise BadRelay("the webhook is not signed with this secret, or too long ago")


def _webhooks(secrets: Sequence[str]) -> list[Webhook]:
    for secret in secrets:
        if not secret.startswith("whsec_") or len(secret) < _SHORTEST_SECRET:
            raise ValueError("a webhook secret begins with whsec_ and goes on in base64")
    return [Webhook(secret) for secret in secrets]
