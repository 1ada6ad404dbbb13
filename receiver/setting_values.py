"""What settings are made of: how the text of a variable becomes a value, and what is refused.

Every refusal is a ValueError whose text says what would be right.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

MIN_SECRET_LENGTH = 32
"""Characters of the shortest signing secret that is taken."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` in `seconds`."""

    count: int
    seconds: int


def _listed(value: object) -> object:
    if isinstance(value, str):
        return tuple(member.strip() for member in value.split(",") if member.strip())
    return value


def _not_empty(value: object) -> object:
    if value == ():
        raise ValueError("the list has no member")
    return value


def _lowered(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _web_address(text: str) -> SplitResult:
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("an address is visible ASCII without spaces, as in https://example.com")
    try:
        parts = urlsplit(text)
        _ = parts.port  # reading it is what checks it
    except ValueError as error:
        raise ValueError(f"this is no address: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an absolute address is needed, as in https://example.com")
    if "?" in text or "#" in text or "@" in parts.netloc:
        raise ValueError("the address may hold no query, no fragment and no user info")
    return parts


def _without_slash(text: str) -> str:
    _web_address(text)
    return text.rstrip("/")


def _with_slash(text: str) -> str:
    _web_address(text)
    return text.rstrip("/") + "/"


def _origin(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@*\s]+", text):
        raise ValueError("an origin is scheme://host or scheme://host:port in lower case, no path")
    default_port = {"http": ":80", "https": ":443"}.get(text.partition(":")[0])
    if text != text.lower() or (default_port and text.endswith(default_port)):
        right = text.lower().removesuffix(default_port or "")
        raise ValueError(f"browsers write this origin {right}")
    return text


def _host(text: str) -> str:
    if not re.fullmatch(r"[0-9A-Za-z._:%-]+", text):
        raise ValueError("a name or an IP address is needed, as in 127.0.0.1, without a port")
    return text


def _network(value: object) -> object:
    if isinstance(value, str):
        return ipaddress.ip_network(value)
    return value


def _rate(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not (text := value.strip()):
        return None
    match = re.fullmatch(r"([0-9]{1,9})/(second|minute|hour)", text)
    if match is None or int(match[1]) == 0:
        raise ValueError("N/second, N/minute or N/hour is needed, as in 600/minute, or nothing")
    return Rate(int(match[1]), {"second": 1, "minute": 60, "hour": 3600}[match[2]])


def _database_url(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in ("sqlite", "postgresql") or rest in ("", "/"):
        raise ValueError(
            "sqlite:///relative/path, sqlite:////absolute/path or postgresql://… is needed"
        )
    if scheme == "sqlite" and (not rest.startswith("/") or rest == "/:memory:"):
        raise ValueError("a file is needed, as in sqlite:///data/receiver.db (three slashes)")
    return text


def _schedule(gaps: tuple[float, ...]) -> tuple[float, ...]:
    if any(gap == 0 for gap in gaps[1:]):
        raise ValueError("only the first gap may be 0")
    return gaps


def _header_name(text: str) -> str:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", text):
        raise ValueError("a header's name is needed, as in API-KEY")
    return text


def _header_value(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]+", secret.get_secret_value()):
        raise ValueError("a key is visible ASCII without spaces")
    return secret


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value()) < MIN_SECRET_LENGTH:
        raise ValueError(f"each secret needs {MIN_SECRET_LENGTH} characters or more")
    return secret


# A millisecond is the unit of everything behind the settings; the upper bounds keep sums of times
# within what a date and a 64-bit integer can say.
Seconds = Annotated[float, Field(ge=0.001, le=1e10, allow_inf_nan=False)]
Gap = Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)]
Days = Annotated[float, Field(gt=0, le=1e5, allow_inf_nan=False)]
PerSecond = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0, le=1_000_000_000)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed), AfterValidator(_not_empty)]
HeaderValue = Annotated[SecretStr, AfterValidator(_header_value)]
SigningSecret = Annotated[SecretStr, AfterValidator(_long_enough)]

DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
Host = Annotated[str, AfterValidator(_host)]
Port = Annotated[int, Field(ge=0, le=65535)]
BaseUrl = Annotated[str, AfterValidator(_without_slash)]
FolderUrl = Annotated[str, AfterValidator(_with_slash)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
LogFormat = Annotated[Literal["json", "console"], BeforeValidator(_lowered)]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_lowered)
]
SecretKeys = Annotated[
    tuple[SigningSecret, ...] | None, NoDecode, BeforeValidator(_listed), AfterValidator(_not_empty)
]
Schedule = Annotated[
    tuple[Gap, ...],
    NoDecode,
    BeforeValidator(_listed),
    AfterValidator(_not_empty),
    AfterValidator(_schedule),
]
Networks = Annotated[
    tuple[Annotated[Network, BeforeValidator(_network)], ...], NoDecode, BeforeValidator(_listed)
]
Origins = Annotated[
    tuple[Annotated[str, AfterValidator(_origin)], ...], NoDecode, BeforeValidator(_listed)
]
RateLimit = Annotated[Rate | None, NoDecode, BeforeValidator(_rate)]
