"""Signatures, checked by the reference verifier of Standard Webhooks."""

import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from receiver.webhooks.signing import new_secret, sign

BODY = b'{"request_id":"job_1","status":"COMPLETED","message":"\\u00e9"}'
NEW, OLD, OTHER = (new_secret(bytes([n]) * 32) for n in range(3))


def now_ms() -> int:
    """The verifier reads the machine's clock."""
    return time.time_ns() // 1_000_000


def test_the_reference_verifier_accepts_a_message() -> None:
    at = now_ms()
    headers = sign([NEW], "msg_1", at, BODY)
    assert headers["webhook-id"] == "msg_1"
    assert headers["webhook-timestamp"] == str(at // 1000)
    assert Webhook(NEW).verify(BODY, headers)["status"] == "COMPLETED"


def test_after_a_rotation_both_secrets_sign() -> None:
    headers = sign([NEW, OLD], "msg_1", now_ms(), BODY)
    assert [part[:3] for part in headers["webhook-signature"].split(" ")] == ["v1,", "v1,"]
    Webhook(NEW).verify(BODY, headers)
    Webhook(OLD).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(BODY, headers)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp"])
def test_id_and_time_are_signed(name: str) -> None:
    headers = sign([NEW], "11", now_ms(), BODY)
    headers[name] = str(int(headers[name]) + 1)
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY, headers)


def test_the_body_is_signed() -> None:
    headers = sign([NEW], "msg_1", now_ms(), BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY.replace(b"job_1", b"job_2"), headers)


def test_the_example_of_the_specification() -> None:
    headers = sign(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330_999,
        b'{"test": 2432232314}',
    )
    assert headers == {
        "content-type": "application/json",
        "user-agent": "receiver",
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_what_cannot_be_signed() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        sign([NEW], "msg_1", 0, b"\xff")
