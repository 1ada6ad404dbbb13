"""Signatures, as specified by Standard Webhooks."""

from receiver.webhooks.signing import sign


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
