"""Verifying a webhook: what the service signs is accepted; everything else raises BadRelay."""

import json
import time
from collections.abc import Callable

import pytest

from receiver.client import BadRelay, verify_relay
from receiver.webhooks.signing import new_secret, sign

SECRET = new_secret(b"a" * 32)
OTHER = new_secret(b"b" * 32)
BODY = json.dumps({"request_id": "job_x", "status": "COMPLETED", "seq": 8}).encode()


def signed(*secrets: str, body: bytes = BODY, age: float = 0.0) -> dict[str, str]:
    return sign(secrets or (SECRET,), "msg_1", int((time.time() - age) * 1_000), body)


def test_a_webhook_of_the_service_is_accepted() -> None:
    relay = verify_relay(SECRET, signed(), BODY)
    assert (relay.id, relay.body) == ("msg_1", json.loads(BODY))


def test_header_names_can_be_in_any_case() -> None:
    headers = {name.upper(): value for name, value in signed().items()} | {"Host": "example.com"}
    assert verify_relay(SECRET, headers, BODY).id == "msg_1"


def test_during_a_rotation_either_side_can_have_both_secrets() -> None:
    assert verify_relay(SECRET, signed(OTHER, SECRET), BODY).id == "msg_1"
    assert verify_relay([OTHER, SECRET], signed(SECRET), BODY).id == "msg_1"


# Signed during the test: a signature made at collection may be too old by then.
BAD: list[Callable[[], tuple[dict[str, str], bytes]]] = [
    lambda: (signed(OTHER), BODY),
    lambda: (signed(), BODY + b" "),
    lambda: (signed() | {"webhook-id": "msg_2"}, BODY),
    lambda: (signed() | {"webhook-signature": ""}, BODY),
    lambda: (signed() | {"webhook-signature": "v1"}, BODY),
    lambda: (signed() | {"webhook-signature": "v1,é"}, BODY),
    lambda: (signed() | {"webhook-signature": "v1,="}, BODY),
    lambda: (signed() | {"webhook-id": "\ud800"}, BODY),
    lambda: (signed() | {"webhook-timestamp": "soon"}, BODY),
    lambda: (signed() | {"webhook-timestamp": "1e400"}, BODY),
    lambda: (signed() | {"webhook-timestamp": "nan"}, BODY),
    lambda: (signed(age=310), BODY),
    lambda: (signed(age=-310), BODY),
    lambda: (signed(body=b"[1]"), b"[1]"),
    lambda: (signed(body=b"{"), b"{"),
    lambda: (signed(body=b"[" * 100_000), b"[" * 100_000),
    lambda: (signed(), b"\xff\xfe"),
    lambda: ({}, b""),
]


@pytest.mark.parametrize("make", BAD)
def test_an_invalid_webhook_is_refused(make: Callable[[], tuple[dict[str, str], bytes]]) -> None:
    headers, body = make()
    with pytest.raises(BadRelay):
        verify_relay(SECRET, headers, body)


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "secret", "whsec_" + "é" * 40, "whsec_" + "a" * 41, "whsec_" + "!" * 40],
)
def test_a_malformed_secret_raises_value_error(secret: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        verify_relay(secret, signed(), BODY)
