"""What the conformance suite needs to know about each provider. A new provider is one more
`Subject`."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from receiver.clock import Clock, SystemClock
from receiver.providers.fal.upstream import Fal
from receiver.providers.replicate.upstream import Replicate
from receiver.providers.samsar.rules import InputRules
from receiver.providers.samsar.upstream import Samsar
from receiver.upstream.api import Account, Api
from receiver.upstream.contract import Headers, Provider
from store.records.jobs import Status
from tests.providers.conformance.minimal import Minimal

P = TypeVar("P", bound="Provider | Api")

KEY = "the-operators-key"
TOKEN = "job_01KE4XH9T5M0R8QW2V3Y6Z7ABC." + "t" * 43
CALLBACK = f"https://receiver.example/webhooks/x/{TOKEN}"
SECRET = b"a secret of 24 bytes ..."
WHSEC = "whsec_" + base64.b64encode(SECRET).decode()
PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(b"s" * 32)

Sign = Callable[[bytes, int], dict[str, str]]
"""Makes the headers of a callback from its body and the time of signing in seconds."""


@dataclass(frozen=True)
class Subject:
    """A provider, and examples of its API."""

    name: str
    make: Callable[[Account], Provider]
    good_kinds: tuple[str, ...]
    bad_kinds: tuple[str, ...]
    good_input: Mapping[str, Any]
    accepted: Mapping[str, Any]
    """The answer that accepts a submission as `up-1`."""
    callbacks: Mapping[Status, Mapping[str, Any]]
    """The body of a callback for `up-1`, for each status that has one."""
    refusal: Callable[[str], Mapping[str, Any]]
    """Makes the body of a refusal with this text."""
    cancels: bool = False
    sign: Sign | None = None
    keys: Mapping[str, Any] | None = None
    """The provider's answer to a request for its signing keys, if it has any."""


def account(url: str, clock: Clock | None = None) -> Account:
    """An account at a provider with this base URL; its key is `KEY`."""
    return Account("one", url, KEY, clock or SystemClock())


def sign_replicate(body: bytes, at: int, secret: bytes = SECRET) -> dict[str, str]:
    digest = hmac.digest(secret, b"msg_1.%d." % at + body, hashlib.sha256)
    signature = "v1," + base64.b64encode(digest).decode()
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,AAAA {signature}",
    }


def sign_fal(body: bytes, at: int, key: Ed25519PrivateKey = PRIVATE_KEY) -> dict[str, str]:
    signed = ["up-1", "user-1", str(at)]
    message = "\n".join([*signed, hashlib.sha256(body).hexdigest()])
    values = [*signed, key.sign(message.encode()).hex()]
    names = ("request-id", "user-id", "timestamp", "signature")
    return {f"x-fal-webhook-{name}": value for name, value in zip(names, values, strict=True)}


def sign_minimal(body: bytes, at: int) -> dict[str, str]:
    digest = hmac.digest(KEY.encode(), str(at).encode() + body, hashlib.sha256)
    return {"x-sent-at": str(at), "x-signature": digest.hex()}


def jwks(*keys: Ed25519PrivateKey) -> dict[str, Any]:
    """A JWKS with the public keys, the first without padding."""
    encoded = [
        base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).decode() for key in keys
    ]
    encoded[:1] = [encoded[0].rstrip("=")]
    junk = [None, {"x": 7}, {"x": "!"}, {"kty": "RSA", "n": "x"}]
    return {"keys": [*junk, *({"kty": "OKP", "crv": "Ed25519", "x": x} for x in encoded)]}


def as_headers(headers: Mapping[str, str]) -> Headers:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def as_body(content: Any) -> bytes:
    return json.dumps(content).encode()


SAMSAR = Subject(
    name="samsar",
    make=lambda account: Samsar(account, InputRules(["A"], ["B"])),
    good_kinds=("create_movie", "create_narrative"),
    bad_kinds=("", "owner/name", "create_poem", "CREATE_MOVIE"),
    good_input={"prompt": "A heron", "image_model": "A", "video_model": "B", "duration": 5},
    accepted={"request_id": "up-1"},
    callbacks={
        Status.PENDING: {"request_id": "up-1", "status": "PENDING"},
        Status.IN_PROGRESS: {"request_id": "up-1", "status": "IN_PROGRESS", "progress": 5},
        Status.COMPLETED: {
            "request_id": "up-1",
            "status": "COMPLETED",
            "result": {"videoUrl": "https://a.example/v.mp4"},
        },
        Status.FAILED: {"request_id": "up-1", "status": "FAILED", "message": "It broke."},
        Status.CANCELLED: {"request_id": "up-1", "status": "CANCELLED"},
    },
    refusal=lambda text: {"message": text},
)

VERSION = "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa"
REPLICATE = Subject(
    name="replicate",
    make=Replicate,
    good_kinds=(
        *("owner/name", f"owner/name:{VERSION}", "owner/name:v1.0", "deployments/owner/name"),
        *(VERSION, VERSION.upper()),
    ),
    bad_kinds=("", "owner", "a/b/c", "owner/name:", "owner/na me", "../x", VERSION[1:], "a/b\n"),
    good_input={"prompt": "A heron", "seed": 17454220438242315174},
    accepted={"id": "up-1", "status": "starting"},
    callbacks={
        Status.PENDING: {"id": "up-1", "status": "starting"},
        Status.IN_PROGRESS: {"id": "up-1", "status": "processing", "output": None},
        Status.COMPLETED: {"id": "up-1", "status": "succeeded", "output": ["https://a.example/1"]},
        Status.FAILED: {"id": "up-1", "status": "failed", "error": "It broke."},
        Status.CANCELLED: {"id": "up-1", "status": "canceled"},
    },
    refusal=lambda text: {"title": "Refused", "detail": text, "status": 400},
    cancels=True,
    sign=sign_replicate,
    keys={"key": WHSEC},
)

FAL = Subject(
    name="fal",
    make=lambda account: Fal(account, f"{account.base_url}.well-known/jwks.json"),
    good_kinds=("fal-ai/flux", "fal-ai/flux/dev", "workflows/owner/alias", "fal-ai/f1.5_x/a/b"),
    bad_kinds=("", "flux", "fal-ai/", "/fal-ai/flux", "fal-ai/../x", "fal-ai/flux?x=1", "a b/c"),
    good_input={"prompt": "A heron", "seed": 17454220438242315174},
    accepted={"request_id": "up-1", "status": "IN_QUEUE"},
    callbacks={
        Status.COMPLETED: {
            "request_id": "up-1",
            "status": "OK",
            "error": None,
            "payload": {"images": [{"url": "https://a.example/1"}]},
        },
        Status.FAILED: {
            "request_id": "up-1",
            "status": "ERROR",
            "error": "Invalid status code: 422",
            "payload": {"detail": [{"loc": ["body", "prompt"], "msg": "field required"}]},
        },
        Status.CANCELLED: {
            "request_id": "up-1",
            "status": "ERROR",
            "error": "Request was cancelled",
            "error_type": "client_cancelled",
        },
    },
    refusal=lambda text: {"detail": text},
    cancels=True,
    sign=sign_fal,
    keys=jwks(PRIVATE_KEY),
)

MINIMAL = Subject(
    name="minimal",
    make=Minimal,
    good_kinds=("draw",),
    bad_kinds=("", "paint"),
    good_input={"what": "a heron"},
    accepted={"id": "up-1"},
    callbacks={
        Status.PENDING: {"id": "up-1", "state": "queued"},
        Status.COMPLETED: {"id": "up-1", "state": "done", "drawing": "https://a.example/1"},
        Status.FAILED: {"id": "up-1", "state": "broken", "why": "It broke."},
    },
    refusal=lambda text: {"why": text},
    sign=sign_minimal,
)

BUILT_IN = (SAMSAR, REPLICATE, FAL)


@asynccontextmanager
async def closing(provider: P) -> AsyncIterator[P]:
    """A provider, or its client, that is closed with the block."""
    try:
        yield provider
    finally:
        await provider.close()


def opened(subject: Subject, url: str) -> AbstractAsyncContextManager[Provider]:
    return closing(subject.make(account(url)))
