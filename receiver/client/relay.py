"""Checking the webhooks that the service sends (https://www.standardwebhooks.com)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from receiver.client.errors import BadRelay


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
    webhooks = [Webhook(secret) for secret in ([secrets] if isinstance(secrets, str) else secrets)]
    for webhook in webhooks:
        try:
            webhook.verify(body, dict(headers), json_parse=False)
            document = json.loads(body)
        # The verifier lets what its parts raise slip through: base64, a surrogate, a missing comma.
        except (WebhookVerificationError, ValueError, TypeError, RecursionError):
            continue
        if isinstance(document, dict):
            lowered = {name.lower(): value for name, value in headers.items()}
            return Relay(lowered["webhook-id"], document)
    raise BadRelay("the webhook is not signed with this secret, or too long ago")
