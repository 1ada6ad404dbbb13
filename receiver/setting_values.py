"""Types of settings: they convert and validate the text of a variable.

Our own checks raise a ValueError, whose message is shown after the setting's name.
"""

import base64
import ipaddress
import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Literal, TypeVar
from urllib.parse import unquote, urlsplit

import httpx
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

MIN_SECRET_LENGTH = 32
"""Minimum length of a signing secret, in characters."""

T = TypeVar("T")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` per `seconds`."""

    count: int
    seconds: int


def _split_list(value: object) -> object:
    if isinstance(value, str):
        return tuple(member.strip() for member in value.split(",") if member.strip())
    return value


def _not_empty(value: object) -> object:
    if value == ():
        raise ValueError("the list is empty")
    return value


def web_address(text: str) -> str:
    """`text`, if it is an absolute http:// or https:// URL that a client can be given."""
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("a URL must be visible ASCII without spaces, as in https://example.com")
    try:
        parts = urlsplit(text)
        _ = parts.port  # reading it validates it
    except ValueError:
        # The original message may quote a password.
        raise ValueError("the URL's host or port is not valid") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an absolute URL is needed, as in https://example.com")
    try:
        httpx.URL(text)  # which every client here uses, and which checks IP addresses and length
    except httpx.InvalidURL:
        raise ValueError("the URL's host is not valid, or it is too long") from None
    return text


def _base_url(text: str) -> str:
    parts = urlsplit(web_address(text))
    if "?" in text or "#" in text or "@" in parts.netloc:
        raise ValueError("the URL must have no query, fragment or user info")
    return text.rstrip("/")


def _matching(pattern: str, needed: str) -> BeforeValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(needed)
        return text

    return BeforeValidator(check)


def _origin(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@*\s]+", text):
        raise ValueError("an origin is scheme://host or scheme://host:port, lower case, no path")
    default_port = {"http": ":80", "https": ":443"}.get(text.partition(":")[0], "")
    right = text.lower().removesuffix(default_port)
    if text != right:
        raise ValueError(f"browsers write this origin as {right}")
    return text


def _rate(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not value:
        return None
    match = re.fullmatch(r"([0-9]{1,9})/(second|minute|hour)", value)
    if match is None or int(match[1]) == 0:
        raise ValueError("N/second, N/minute or N/hour is needed, as in 600/minute, or empty")
    return Rate(int(match[1]), {"second": 1, "minute": 60, "hour": 3600}[match[2]])


def _database_url(text: str) -> str:
    scheme, _, rest = text.partition("://")
    if scheme not in ("sqlite", "postgresql") or rest in ("", "/"):
        raise ValueError(
            "sqlite:///relative/path, sqlite:////absolute/path or postgresql://… is needed"
        )
    if scheme == "sqlite" and (not rest.startswith("/") or rest == "/:memory:"):
        raise ValueError("a file is needed, as in sqlite:///data/receiver.db (three slashes)")
    return text


def _archive_url(text: str) -> str:
    parts = urlsplit(text)
    path = unquote(parts.path)
    is_folder = parts.scheme == "file" and not parts.netloc and re.match(r"/.", path)
    is_bucket = parts.scheme == "s3" and re.fullmatch(r"[a-z0-9][a-z0-9.-]+", parts.netloc)
    unfit = "\0" in path or (is_bucket and "//" in path)
    if not (is_folder or is_bucket) or unfit or parts.query or parts.fragment:
        raise ValueError("file:///absolute/folder or s3://bucket/prefix is needed")
    if is_bucket and find_spec("obstore") is None:
        raise ValueError("s3:// needs the extra s3: run pip install '.[s3]' in the source folder")
    return text


def webhook_key(secret: str) -> bytes:
    """The key in a `whsec_…` secret of the Standard Webhooks rules."""
    prefix, _, encoded = secret.partition("_")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        key = b""
    if prefix != "whsec" or not key:
        raise ValueError("must be whsec_ followed by the secret in base64")
    return key


def webhook_secret(text: str) -> str:
    """`text`, if there is a key in it."""
    webhook_key(text)
    return text


def _schedule(gaps: tuple[float, ...]) -> tuple[float, ...]:
    if any(gap == 0 for gap in gaps[1:]):
        raise ValueError("only the first gap may be 0")
    return gaps


def _long_enough(secret: str) -> str:
    if len(secret) < MIN_SECRET_LENGTH:
        raise ValueError(f"each secret needs at least {MIN_SECRET_LENGTH} characters")
    return secret


# Jobs' times are stored in milliseconds; the upper limits keep sums of times within the range of
# dates and 64-bit integers.
Seconds = Annotated[float, Field(ge=0.001, le=1e10, allow_inf_nan=False)]
Gap = Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)]
Days = Annotated[float, Field(gt=0, le=1e5, allow_inf_nan=False)]
PerSecond = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0, le=1_000_000_000)]
Bytes = Annotated[int, Field(gt=0, le=10**13)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

Listed = Annotated[tuple[T, ...], NoDecode, BeforeValidator(_split_list)]
ListedOrUnset = Annotated[
    tuple[T, ...] | None, NoDecode, BeforeValidator(_split_list), AfterValidator(_not_empty)
]
Names = Annotated[Listed[str], AfterValidator(_not_empty)]
Networks = Listed[Annotated[Network, BeforeValidator(ipaddress.ip_network)]]
Origins = Listed[Annotated[str, AfterValidator(_origin)]]
Schedule = Annotated[Listed[Gap], AfterValidator(_not_empty), AfterValidator(_schedule)]
ProviderName = Literal["samsar", "replicate", "fal", "sandbox", "sandbox-replicate", "sandbox-fal"]
ProviderNames = Listed[ProviderName]

HeaderValue = Annotated[
    SecretStr, _matching(r"[!-~]+", "a key must be visible ASCII without spaces")
]
SecretKeys = ListedOrUnset[Annotated[SecretStr, BeforeValidator(_long_enough)]]
WebhookSecrets = ListedOrUnset[Annotated[SecretStr, BeforeValidator(webhook_secret)]]

BaseUrl = Annotated[str, AfterValidator(_base_url)]
FolderUrl = Annotated[BaseUrl, AfterValidator(lambda url: f"{url}/")]
DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
ArchiveUrl = Annotated[str, AfterValidator(_archive_url)]
Host = Annotated[
    str,
    _matching(
        r"[0-9A-Za-z._:%-]+", "a name or an IP address is needed, as in 127.0.0.1, without a port"
    ),
]
Port = Annotated[int, Field(ge=0, le=65535)]
HeaderName = Annotated[
    str, _matching(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", "a header name is needed, as in API-KEY")
]
LogFormat = Annotated[Literal["json", "console"], BeforeValidator(str.lower)]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(str.lower)
]
RateLimit = Annotated[Rate | None, NoDecode, BeforeValidator(_rate)]
