"""Types of settings: they convert and validate the text of a variable.

Our own checks raise a ValueError, whose message is shown after the setting's name.
"""

import base64
import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Literal, TypeVar
from urllib.parse import unquote

import httpx
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

MIN_SECRET_LENGTH = 32
"""Minimum length of a signing secret, in characters."""

T = TypeVar("T")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SECONDS_OF = {"second": 1, "minute": 60, "hour": 3600}


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` per `seconds`."""

    count: int
    seconds: int


def one_of(known: Collection[str], name: str) -> str:
    """The name, if it is a known one. Raises ValueError."""
    if name not in known:
        *others, last = map(repr, known)
        raise ValueError(f"Input should be {', '.join(others)} or {last}")
    return name


def _split_list(value: object) -> object:
    if isinstance(value, str):
        return tuple(member.strip() for member in value.split(",") if member.strip())
    return value


def _matching(pattern: str, needed: str) -> BeforeValidator:
    """Accepts a text that matches as a whole; else the message is `needed`."""

    def check(text: object) -> str:
        if not isinstance(text, str) or not re.fullmatch(pattern, text):
            raise ValueError(needed)
        return text

    return BeforeValidator(check)


def _base_url(text: str) -> str:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:  # its message may quote a password
        raise ValueError("the URL's host or port is not valid, or it is too long") from None
    if url.scheme not in ("http", "https") or not url.host or not re.fullmatch(r"[!-~]+", text):
        raise ValueError("an absolute URL in visible ASCII is needed, as in https://example.com")
    if url.userinfo or "?" in text or "#" in text:
        raise ValueError("the URL must have no query, fragment or user info")
    return text.rstrip("/")


def _rate(value: object) -> object:
    if not isinstance(value, str):
        return value
    count, _, period = value.partition("/")
    if value and not (re.fullmatch(r"[1-9][0-9]{0,8}", count) and period in _SECONDS_OF):
        raise ValueError("N/second, N/minute or N/hour is needed, as in 600/minute, or empty")
    return Rate(int(count), _SECONDS_OF[period]) if value else None


def _counts(value: object) -> object:
    if not isinstance(value, str):
        return value
    counts = dict[str, int]()
    for member in value.split(","):
        name, _, count = (part.strip() for part in member.partition("="))
        if not re.fullmatch(r"[1-9][0-9]{0,8}", count):
            raise ValueError("NAME=COUNT is needed, at least 1, as in one=2,other=10")
        if name in counts:
            raise ValueError(f"{name} is given twice")
        counts[name] = int(count)
    return counts


def _archive_url(text: str) -> str:
    bucket = r"s3://[a-z0-9][a-z0-9.-]+(/[^/?#\0]+)*/?"
    if not re.fullmatch(rf"file:///[^?#\0]+|{bucket}", unquote(text)):
        raise ValueError("file:///absolute/folder or s3://bucket/prefix is needed")
    if text.startswith("s3:") and find_spec("obstore") is None:
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


def _schedule(gaps: tuple[float, ...]) -> tuple[float, ...]:
    if not gaps or 0 in gaps[1:]:
        raise ValueError("at least one gap is needed, and only the first may be 0")
    return gaps


# Jobs' times are stored in milliseconds; the upper limits keep sums of times within the range of
# dates and 64-bit integers.
Seconds = Annotated[float, Field(ge=0.001, le=1e10)]
Gap = Annotated[float, Field(ge=0, le=1e10)]
Days = Annotated[float, Field(gt=0, le=1e5)]
PerSecond = Annotated[float, Field(gt=0, le=1e6)]
Count = Annotated[int, Field(gt=0, le=1_000_000_000)]
Bytes = Annotated[int, Field(gt=0, le=10**13)]
OptionalBytes = Annotated[Bytes | None, BeforeValidator(lambda value: value or None)]
Probability = Annotated[float, Field(ge=0, le=1)]

Listed = Annotated[tuple[T, ...], NoDecode, BeforeValidator(_split_list)]
Counted = Annotated[Mapping[T, int], NoDecode, BeforeValidator(_counts)]
Networks = Listed[Annotated[Network, BeforeValidator(ipaddress.ip_network)]]
Schedule = Annotated[Listed[Gap], AfterValidator(_schedule)]
_ORIGIN = _matching(
    r"(?!http:.*:80$|https:.*:443$)[a-z][a-z0-9+.-]*://[^/?#@*\sA-Z]+",
    "an origin is scheme://host or scheme://host:port, lower case, without path and default port",
)
Origins = Listed[Annotated[str, _ORIGIN]]

HeaderValue = Annotated[
    SecretStr, _matching(r"[!-~]+", "a key must be visible ASCII without spaces")
]
_LONG = f"each secret needs at least {MIN_SECRET_LENGTH} characters"
SecretKeys = Listed[Annotated[SecretStr, _matching(f".{{{MIN_SECRET_LENGTH},}}", _LONG)]]
_WEBHOOK_SECRET = BeforeValidator(lambda text: webhook_key(text) and text)
WebhookSecrets = Listed[Annotated[SecretStr, _WEBHOOK_SECRET]]

BaseUrl = Annotated[str, AfterValidator(_base_url)]
FolderUrl = Annotated[BaseUrl, AfterValidator(lambda url: f"{url}/")]
_DATABASE_URL = _matching(
    r"sqlite:///(?!/?:memory:$|/*$).+|postgresql://..+",
    "sqlite:///relative/path, sqlite:////absolute/path or postgresql://… is needed",
)
DatabaseUrl = Annotated[str, _DATABASE_URL]
ArchiveUrl = Annotated[str, AfterValidator(_archive_url)]
_HOST = "a name or an IP address is needed, as in 127.0.0.1, without a port"
Host = Annotated[str, _matching(r"[0-9A-Za-z._:%-]+", _HOST)]
Port = Annotated[int, Field(ge=0, le=65535)]
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER = "a header name is needed, as in API-KEY"
HeaderName = Annotated[str, _matching(HEADER_NAME.pattern, _HEADER)]
LogFormat = Annotated[Literal["json", "console"], BeforeValidator(str.lower)]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(str.lower)
]
RateLimit = Annotated[Rate | None, NoDecode, BeforeValidator(_rate)]
