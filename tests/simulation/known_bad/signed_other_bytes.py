"""The signature is made of the message written anew, and not of the bytes that are sent."""

import json
from collections.abc import Sequence
from unittest.mock import patch

from receiver.webhooks.signing import sign
from receiver.workers import relay
from tests.simulation.known_bad.variant import Variant


def _written_anew(secrets: Sequence[str], message_id: str, at: int, body: bytes) -> dict[str, str]:
    return sign(secrets, message_id, at, json.dumps(json.loads(body)).encode())


VARIANT = Variant(
    lambda: patch.object(relay, "sign", _written_anew), caught_by=("a relay is signed",)
)
