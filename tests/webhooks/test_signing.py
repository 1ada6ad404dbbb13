"""Signatures, checked by the reference verifier of Standard Webhooks."""

import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from receiver.webhooks.signing import new_secret, sign

BODY = b'{"request_id":"job_1","status":"COMPLETED","message":"\\u00e9"}'
NEW, OLD, OTHER = (new_secret(bytes([n]) * 32) for n in range(3))


def test_after_a_rotation_both_secrets_sign() -> None:
    now = time.time_ns() // 1_000_000  # the verifier reads the machine's clock
    headers = sign([NEW, OLD], "msg_1", now, BODY)
    assert [part[:3] for part in headers["webhook-signature"].split(" ")] == ["v1,", "v1,"]
    Webhook(NEW).verify(BODY, headers)
    Webhook(OLD).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(BODY, headers)


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
