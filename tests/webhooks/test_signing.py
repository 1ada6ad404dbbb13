"""Signatures, as specified by Standard Webhooks."""

from receiver.webhooks.signing import secrets_of, sign
from store.keys import User


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


def test_a_replaced_secret_signs_until_it_expires() -> None:
    user = User(1, "ada", "whsec_new", previous_secret="whsec_old", previous_secret_until=9)
    assert secrets_of(user, 8) == ["whsec_new", "whsec_old"]
    assert secrets_of(user, 9) == ["whsec_new"]
