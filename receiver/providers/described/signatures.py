"""Signatures of callbacks, by the parameters of a description."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from receiver.clock import Clock
from receiver.json_text import UnreadableJson, decode, parse
from receiver.providers.described.description import Part, Signature
from receiver.providers.described.pointers import Header, Pointer, parse_pointer
from receiver.providers.described.reading import header_map
from receiver.upstream.contract import BadSignature, Headers, Verify
from receiver.upstream.signatures import VerificationKeys

Key: TypeAlias = bytes | Ed25519PublicKey

MAX_PARTS: Final = 32
"""More parts of a header that may be a signature are not tried."""

_NUMBER: Final = re.compile(r"[0-9]{1,50}")
_MILLIS_FROM: Final = 100_000_000_000
"""A timestamp from here on counts milliseconds: as seconds it would be the year 5138."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A callback as far as it is known before its body."""

    headers: Mapping[str, str]
    """By name in lower case; `:method` and `:path` as in HTTP/2."""
    moment: str | None
    """When it says that it was signed; None if that is in its body."""
    candidates: Sequence[str]
    """What may be its signature."""


class Signatures:
    """Verifies the callbacks of one provider."""

    def __init__(
        self,
        signature: Signature,
        keys: VerificationKeys[Key],
        required: Mapping[str, str],
        clock: Clock,
    ) -> None:
        """`required` has the values of headers, by name in lower case."""
        self._signature = signature
        self._keys = keys
        self._required = required
        self._clock = clock

    def verifier(self, headers: Headers) -> Verify:
        """As `Provider.verifier`. What it returns is true only if the body is signed, too."""
        arrived = self._arrived(header_map(headers))
        at = self._signature.timestamp
        fresh = at is None or (isinstance(at, Pointer) or self._is_fresh(arrived.moment))

        def matches(key: Key, body: bytes) -> bool:
            return self._fits(key, arrived, body)

        check = self._keys.verifier(matches, fresh=fresh and self._signature.covers_body)

        async def verify(body: bytes) -> bool:
            good = await check(body)
            return good and (
                not isinstance(at, Pointer) or self._is_fresh(_text_at(at, _document(body)))
            )

        return verify

    def _arrived(self, headers: Mapping[str, str]) -> Arrived:
        """Raises `BadSignature` if no body could be valid."""
        signature = self._signature
        for name, value in self._required.items():
            if not _same(headers.get(name, ""), value):
                raise BadSignature(f"{name} is another")
        for template_name in signature.signed.names:
            if template_name.startswith("header:"):
                _header(headers, template_name.removeprefix("header:"))
        if signature.id is not None:
            _header(headers, signature.id.name)
        given = _header(headers, signature.header.lower())
        parts = given.split(signature.split) if signature.split else [given]
        parts = [part.strip() for part in parts[:MAX_PARTS]]
        moment: str | None = None
        match signature.timestamp:
            case Header(name):
                moment = _header(headers, name)
            case Part(prefix):
                found = [part.removeprefix(prefix) for part in parts if part.startswith(prefix)]
                if not found:
                    raise BadSignature("no timestamp")
                moment = found[0]
            case _:
                pass  # it is in the body, or nowhere
        fitting = [part for part in parts if part.startswith(signature.prefix)]
        if not fitting:
            raise BadSignature("no signature")
        candidates = [part.removeprefix(signature.prefix) for part in fitting]
        return Arrived(headers, moment, candidates)

    def _is_fresh(self, moment: str | None) -> bool:
        seconds = None if moment is None else read_moment(moment)
        if seconds is None:
            raise BadSignature("the timestamp is neither an integer nor an HTTP date")
        return abs(self._clock.now() / 1_000 - seconds) <= self._signature.tolerance

    def _fits(self, key: Key, arrived: Arrived, body: bytes) -> bool:
        signature = self._signature
        if signature.scheme == "token":
            assert isinstance(key, bytes)
            return any(
                hmac.compare_digest(each.encode("latin-1"), key) for each in arrived.candidates
            )
        message = signed_message(signature, arrived.headers, arrived.moment, body)
        given = (decode_bytes(each, signature.encoding) for each in arrived.candidates)
        if isinstance(key, Ed25519PublicKey):
            return any(each is not None and _is_signed(key, each, message) for each in given)
        digest = hmac.digest(key, message, signature.hash)
        return any(each is not None and hmac.compare_digest(each, digest) for each in given)


def signed_message(
    signature: Signature, headers: Mapping[str, str], moment: str | None, body: bytes
) -> bytes:
    """What is signed. Raises `BadSignature` if the callback lacks a part of it."""
    path, _, query = headers.get(":path", "").partition("?")
    known = {"method": headers.get(":method", ""), "path": path, "query": query}
    if signature.id is not None:
        known["id"] = headers[signature.id.name]
    parts: list[bytes] = []
    for position, part in enumerate(signature.signed.parts):
        what, _, where = part.partition(":")
        if position % 2 == 0:
            parts.append(part.encode())
        elif part == "body":
            parts.append(body)
        elif part == "body_base64":
            parts.append(base64.b64encode(body))
        elif part == "body_sha256":
            parts.append(hashlib.sha256(body).hexdigest().encode())
        elif what == "body":
            parts.append(_text_at(parse_pointer(where), _document(body)).encode())
        elif part == "timestamp" and isinstance(signature.timestamp, Pointer):
            parts.append(_text_at(signature.timestamp, _document(body)).encode())
        elif part == "timestamp":
            parts.append((moment or "").encode("latin-1"))
        else:
            value = headers[where.lower()] if what == "header" else known[part]
            parts.append(value.encode("latin-1"))
    return b"".join(parts)


def read_keys(signature: Signature, secrets: Sequence[str]) -> list[Key]:
    """The keys in these secrets. Raises ValueError if one is none."""
    return [_read_key(signature, secret) for secret in secrets]


def _read_key(signature: Signature, secret: str) -> Key:
    encoding = signature.secret_encoding
    text = secret.removeprefix("whsec_") if encoding == "base64" else secret
    raw = text.encode() if encoding == "utf8" else decode_bytes(text, encoding)
    if not raw:
        raise ValueError(f"a secret in {encoding} is needed")
    if signature.scheme != "ed25519":
        return raw
    try:
        return Ed25519PublicKey.from_public_bytes(raw)
    except ValueError:
        raise ValueError(f"an Ed25519 public key of 32 bytes in {encoding} is needed") from None


def decode_bytes(text: str, encoding: str) -> bytes | None:
    """The bytes that a text has in hex, base64 or base64url; None if it is not such a text."""
    try:
        if encoding == "hex":
            return binascii.unhexlify(text)
        padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
        altchars = b"-_" if encoding == "base64url" else None
        return base64.b64decode(padded, altchars, validate=True)
    except ValueError:
        return None


def encode_bytes(raw: bytes, encoding: str) -> str:
    """The other way round."""
    if encoding == "hex":
        return raw.hex()
    encode = base64.urlsafe_b64encode if encoding == "base64url" else base64.b64encode
    return encode(raw).decode()


def read_moment(text: str) -> float | None:
    """The Unix time in seconds of a timestamp in seconds, milliseconds or as an HTTP date."""
    if _NUMBER.fullmatch(text):
        number = float(text)
        return number / 1_000 if number >= _MILLIS_FROM else number
    try:
        return parsedate_to_datetime(text[:64]).timestamp()
    except (ValueError, OverflowError):
        return None


def _header(headers: Mapping[str, str], name: str) -> str:
    if not (value := headers.get(name.lower())):
        raise BadSignature(f"no {name}")
    return value


def _document(body: bytes) -> Any:
    try:
        return parse(decode(body))
    except UnreadableJson:
        return None


def _text_at(pointer: Pointer, document: Any) -> str:
    """The text or integer there. Raises `BadSignature` if there is none."""
    try:
        found = pointer.find(document)
    except KeyError:
        found = None
    if isinstance(found, bool) or not isinstance(found, str | int):
        raise BadSignature("the body lacks what is signed")
    return str(found).encode(errors="replace").decode()


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("latin-1"), expected.encode())


def _is_signed(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True
