"""The client's exceptions, and how an answer becomes one.

ClientError
├── ApiError     the service, or something in its place, answered with an error
└── Unreachable  there was no answer
"""

import json
import re
from dataclasses import dataclass
from typing import Any

import httpx


class ClientError(Exception):
    """Base class of the client's exceptions; the text is for people."""


@dataclass(frozen=True, slots=True)
class Fault:
    pointer: str
    """JSON pointer into the body, such as `/input/prompt`."""
    detail: str


@dataclass(eq=False)
class ApiError(ClientError):
    """An error response of the service (RFC 9457), or any response that is not the service's."""

    status: int
    """The HTTP status."""
    code: str
    """A stable snake_case word; `http_error` if the response is not the service's own: a proxy's,
    or the URL is wrong."""
    detail: str
    faults: tuple[Fault, ...] = ()
    request_id: str | None = None
    """The response's X-Request-ID, for finding the service's log lines."""
    retry_after: float | None = None
    """Seconds to wait before a retry, if the response has them."""

    def __str__(self) -> str:
        return self.detail


class Unreachable(ClientError):
    """There was no answer: nothing is listening, the connection broke, or it timed out."""


def shown(url: httpx.URL) -> httpx.URL:
    """Without a query and a password."""
    return url.copy_with(query=None, userinfo=b"")


def read_object(response: httpx.Response) -> dict[str, Any] | None:
    """The JSON object in a response; None if it has none."""
    try:
        document = json.loads(response.content)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def api_error(response: httpx.Response) -> ApiError:
    """The error in a response, whose body has been read."""
    faults: tuple[Fault, ...] = ()
    match read_object(response):
        case {"code": str(code), "detail": str(detail), **others}:
            errors: Any = others.get("errors", ())
            faults = tuple(Fault(each["pointer"], each["detail"]) for each in errors)
        case _:
            said = f"{response.status_code} {response.reason_phrase}".strip()
            url = shown(response.url)
            code, detail = "http_error", f"{said}, not the service's answer, from {url}"
    # The service sends seconds: a Retry-After with a date is from a proxy, and ignored.
    retry_after = response.headers.get("Retry-After", "")
    return ApiError(
        response.status_code,
        code,
        detail,
        faults,
        response.headers.get("X-Request-ID"),
        float(retry_after) if re.fullmatch("[0-9]{1,9}", retry_after) else None,
    )
