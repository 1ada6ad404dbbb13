"""Signatures: published examples, and constructions after each provider's own words."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from receiver.providers.described.signatures import Key, Signatures, read_keys, read_moment
from receiver.upstream.contract import BadSignature
from receiver.upstream.signatures import VerificationKeys
from tests.described.files import SUBMIT, described
from tests.support.manual_clock import ManualClock

NOW = 1_767_323_045
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"data":{"task_id":"up-1"},"time":1767323045}'
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"s" * 32)


def mac(message: bytes, secret: bytes = SECRET.encode(), kind: str = "sha256") -> bytes:
    return hmac.digest(secret, message, kind)


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@dataclass(frozen=True)
class Vector:
    """One family: how it is described, and a callback that is signed so."""

    table: str
    """Of `[signature]`."""
    headers: Mapping[str, str]
    body: bytes = BODY
    secrets: Sequence[str] = (SECRET,)
    at: int = NOW
    covers: bool = True
    """Whether the body is signed."""


WRONG = "00" * 32
TS = f"{NOW}."
VIDU = (
    "POST\n/hook\na=1\nvidu\nFri, 02 Jan 2026 03:04:05 GMT\nDate:Fri, 02 Jan 2026 03:04:05 GMT\n"
    "x-request-nonce:n1\n"
)
IDEOGRAM = f"g-1\nu-1\n{NOW}\n{hashlib.sha256(BODY).hexdigest()}"
SLACK = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&r"
    b"esponse_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGl"
    b"gcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)

PUBLISHED = {
    # standardwebhooks.com's reference libraries
    "standard-webhooks": Vector(
        'scheme = "standard-webhooks"',
        {
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1614265330",
            "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
        b'{"test": 2432232314}',
        at=1614265330,
    ),
    # docs.github.com, "Validating webhook deliveries"
    "body-hex": Vector(
        'scheme = "body-hex"\nheader = "X-Hub-Signature-256"\nprefix = "sha256="',
        {
            "x-hub-signature-256": (
                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
            )
        },
        b"Hello, World!",
        ("It's a Secret to Everybody",),
    ),
    # docs.slack.dev, "Verifying requests from Slack"
    "time apart": Vector(
        'scheme = "hmac"\nheader = "X-Slack-Signature"\nprefix = "v0="\n'
        'timestamp = "header:X-Slack-Request-Timestamp"\nsigned = "v0:{timestamp}:{body}"',
        {
            "x-slack-request-timestamp": "1531420618",
            "x-slack-signature": (
                "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
            ),
        },
        SLACK,
        ("8f742231b10e8888abcd99yyyzzz85a5",),
        1531420618,
    ),
    # RFC 8032, 7.1, test 2
    "ed25519": Vector(
        'scheme = "ed25519"\nheader = "X-Signature"\nsecret_encoding = "hex"',
        {
            "x-signature": "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        },
        b"r",
        ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",),
    ),
}
CONSTRUCTED = {
    "sync": Vector(
        'scheme = "timestamped"\nheader = "Sync-Signature"',
        {"sync-signature": f"t={NOW},v1={mac(TS.encode() + BODY).hex()}"},
    ),
    "elevenlabs": Vector(
        'scheme = "timestamped"\nheader = "ElevenLabs-Signature"\nprefix = "v0="\ntolerance = 1800',
        {"elevenlabs-signature": f"t={NOW}, v0={WRONG}, v0={mac(TS.encode() + BODY).hex()}"},
    ),
    "openrouter": Vector(
        'scheme = "timestamped"\nheader = "X-Openrouter-Signature"\nsigned = "{timestamp},{body}"',
        {"x-openrouter-signature": f"t={NOW},v1={mac(b'%d,' % NOW + BODY).hex().upper()}"},
    ),
    "heygen": Vector(
        'scheme = "body-hex"\nheader = "Heygen-Signature"', {"heygen-signature": mac(BODY).hex()}
    ),
    "baseten": Vector(
        'scheme = "hmac"\nheader = "X-Baseten-Signature"\nsplit = ","\nprefix = "v1="\n'
        'timestamp = "/time"',
        {"x-baseten-signature": f"v1={WRONG},v1={mac(BODY).hex()}"},
        secrets=("whsec_old", SECRET),
    ),
    "synthesia": Vector(
        'scheme = "hmac"\nheader = "Synthesia-Signature"\ntimestamp = "header:Synthesia-Timestamp"'
        '\nsigned = "{timestamp}.{body}"',
        {
            "synthesia-signature": mac(b"%d." % (NOW * 1000) + BODY).hex(),
            "synthesia-timestamp": str(NOW * 1000),
        },
    ),
    "beam": Vector(
        'scheme = "hmac"\nheader = "X-Task-Signature"\ntimestamp = "header:X-Task-Timestamp"\n'
        'signed = "{body_base64}:{timestamp}"',
        {
            "x-task-signature": mac(f"{b64(BODY)}:{NOW}".encode()).hex(),
            "x-task-timestamp": str(NOW),
        },
    ),
    "kie": Vector(
        'scheme = "hmac"\nheader = "X-Webhook-Signature"\ntimestamp = "header:X-Webhook-Timestamp"'
        '\nsigned = "{body:/data/task_id}.{timestamp}"\nencoding = "base64"',
        {
            "x-webhook-signature": b64(mac(f"up-1.{NOW}".encode())),
            "x-webhook-timestamp": str(NOW),
        },
        covers=False,
    ),
    "vidu": Vector(
        'scheme = "hmac"\nheader = "X-HMAC-SIGNATURE"\ntimestamp = "header:Date"\n'
        'encoding = "base64"\nsigned = "{method}\\n{path}\\n{query}\\nvidu\\n{header:date}\\n'
        'Date:{header:date}\\nx-request-nonce:{header:x-request-nonce}\\n"',
        {
            ":method": "POST",
            ":path": "/hook?a=1",
            "date": "Fri, 02 Jan 2026 03:04:05 GMT",
            "x-request-nonce": "n1",
            "x-hmac-signature": b64(mac(VIDU.encode())),
        },
        covers=False,
    ),
    "ideogram": Vector(
        'scheme = "ed25519"\nheader = "X-Signature"\ntimestamp = "header:X-Timestamp"\n'
        'secret_encoding = "base64"\nrequire = { "header:X-User-Id" = "u-1" }\n'
        'signed = "{header:X-Generation-Id}\\n{header:X-User-Id}\\n{timestamp}\\n{body_sha256}"',
        {
            "x-generation-id": "g-1",
            "x-user-id": "u-1",
            "x-timestamp": str(NOW),
            "x-signature": PRIVATE.sign(IDEOGRAM.encode()).hex(),
        },
        secrets=(b64(PRIVATE.public_key().public_bytes_raw()),),
    ),
    "leonardo": Vector(
        'scheme = "token"\nheader = "Authorization"\nprefix = "Bearer "',
        {"authorization": f"Bearer {SECRET}"},
        covers=False,
    ),
    "sha512 in base64url": Vector(
        'scheme = "hmac"\nheader = "X-Sig"\nhash = "sha512"\nencoding = "base64url"\n'
        'secret_encoding = "hex"',
        {"x-sig": base64.urlsafe_b64encode(mac(BODY, b"\x01\xff", "sha512")).decode().rstrip("=")},
        secrets=("01ff",),
    ),
}
VECTORS = PUBLISHED | CONSTRUCTED
each_vector = pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)


def signatures(vector: Vector, at: int | None = None) -> Signatures:
    one = described(
        "[signature]", vector.table, submit=SUBMIT + 'body = { hook = "{callback_url}" }\n'
    ).signature
    assert one is not None
    assert one.covers_body is vector.covers
    clock = ManualClock((vector.at if at is None else at) * 1_000)
    found = read_keys(one, vector.secrets)

    async def ask() -> Sequence[Key]:
        return found

    required = {
        name.removeprefix("header:").lower(): text.fill({}) for name, text in one.require.items()
    }
    return Signatures(one, VerificationKeys(clock, ask), required, clock)


async def verified(vector: Vector, headers: Mapping[str, str], body: bytes, at: int) -> bool | None:
    """None if it is refused."""
    given = [(name.encode(), value.encode()) for name, value in headers.items()]
    try:
        return await signatures(vector, at).verifier(given)(body)
    except BadSignature:
        return None


@each_vector
async def test_what_is_signed_is_verified_only_as_it_was(vector: Vector) -> None:
    headers, body, at = vector.headers, vector.body, vector.at
    assert await verified(vector, headers, body, at) is vector.covers
    assert await verified(vector, headers, body + b" ", at) is (None if vector.covers else False)
    for name, value in headers.items():
        others = {each: text for each, text in headers.items() if each != name}
        if name == ":method":
            continue
        if name != ":path":
            assert await verified(vector, others, body, at) is None, name
            assert await verified(vector, others | {name: ""}, body, at) is None, name
        changed = value[:-2] + ("01" if value.endswith("00") else "00")
        assert await verified(vector, others | {name: changed}, body, at) is None, name


@each_vector
async def test_what_is_too_old_is_a_claim(vector: Vector) -> None:
    for apart in (-2_000, 2_000):
        said = await verified(vector, vector.headers, vector.body, vector.at + apart)
        assert said is (vector.covers and "timestamp" not in vector.table + str(vector.headers))


@each_vector
async def test_another_secret_does_not_fit(vector: Vector) -> None:
    other = Ed25519PrivateKey.from_private_bytes(b"t" * 32).public_key().public_bytes_raw()
    secret = {"hex": other.hex(), "base64": b64(other)}
    encoding = next((name for name in secret if f'ing = "{name}"' in vector.table), "hex")
    changed = Vector(
        vector.table, vector.headers, secrets=(secret[encoding],), covers=vector.covers
    )
    assert await verified(changed, vector.headers, vector.body, vector.at) is None


async def test_hostile_headers_are_refused() -> None:
    vector = VECTORS["sync"]
    for value in (
        "",
        ",",
        "t=",
        f"t={NOW}",
        "v1=aa",
        "t=1e9,v1=aa",
        "t=17.5,v1=aa",
        "t=,v1=",
        "\xff",
    ):
        assert await verified(vector, {"sync-signature": value}, BODY, NOW) is None
    many = f"t={NOW}," + "v1=00," * 5_000 + vector.headers["sync-signature"][2:]
    assert await verified(vector, {"sync-signature": many}, BODY, NOW) is None


@pytest.mark.parametrize(
    ("encoding", "secret"), [("hex", "xyz"), ("hex", "0"), ("base64", "whsec_!"), ("base64", "")]
)
def test_what_is_no_secret(encoding: str, secret: str) -> None:
    for scheme in ("hmac", "ed25519"):
        one = described(
            "[signature]",
            f'scheme = "{scheme}"\nheader = "x"\nsecret_encoding = "{encoding}"',
            submit=SUBMIT + 'body = { hook = "{callback_url}" }\n',
        ).signature
        assert one is not None
        with pytest.raises(ValueError, match="is needed"):
            read_keys(one, [secret])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1767323045", 1767323045),
        ("1767323045678", 1767323045.678),
        ("Fri, 02 Jan 2026 03:04:05 GMT", 1767323045),
        *((text, None) for text in ("", "soon", "1e9", "17.5", "-5", "\uff11", "2026-01-02")),
    ],
)
def test_timestamps(text: str, seconds: float | None) -> None:
    assert read_moment(text) == seconds


@given(st.text() | st.from_regex(r"\A\w{0,4},? ?\d{0,6} \w{3} \d{0,9} [\d:]{0,9} [-+A-Z\d]{0,9}\Z"))
def test_no_timestamp_raises(text: str) -> None:
    assert read_moment(text) is None or isinstance(read_moment(text), float)
