"""The client's exceptions, and how an answer becomes one.

ClientError
├── ApiError           the service answered with an error
├── Unreachable        there was no answer
├── UnreadableAnswer   the answer cannot be read
│   └── AnotherServer  it is not the service's
└── BadRelay           a webhook without a valid, recent signature
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
    """An error response of the service (RFC 9457), or of a proxy in front of it."""

    status: int
    """The HTTP status."""
    code: str
    """A stable snake_case word; `http_error` if the response is not the service's own."""
    detail: str
    faults: tuple[Fault, ...] = ()
    request_id: str | None = None
    """The response's X-Request-ID, for finding the service's log lines."""
    retry_after: float | None = None
    """Seconds to wait before a retry, if the response has them."""

    def __post_init__(self) -> None:
        # All of them, since an exception is pickled with its arguments.
        super().__init__(
            self.status, self.code, self.detail, self.faults, self.request_id, self.retry_after
        )

    def __str__(self) -> str:
        return self.detail


class Unreachable(ClientError):
    """There was no answer: nothing is listening, the connection broke, or it timed out."""


class UnreadableAnswer(ClientError):
    """A success status with a body that cannot be read."""


class AnotherServer(UnreadableAnswer):
    """The body is no JSON object or no event stream, or there is no X-Request-ID: the URL is
    probably wrong, or a proxy has answered."""


class BadRelay(ClientError):
    """A webhook that must not be trusted."""


def read_document(response: httpx.Response) -> dict[str, Any] | None:
    """The JSON object in a response; None if the response is not from the service, whose responses
    all have an X-Request-ID."""
    try:
        document = json.loads(response.content)
    except (ValueError, RecursionError):
        return None
    is_ours = isinstance(document, dict) and "X-Request-ID" in response.headers
    return document if is_ours else None


def api_error(response: httpx.Response) -> ApiError:
    """The error in a response with a status of 300 or more, whose body has been read."""
    phrase = f"{response.status_code} {response.reason_phrase}".strip()
    match read_document(response):
        case {"code": str(code), "detail": str(detail), **others}:
            faults = _faults(others.get("errors"))
        case _:
            code, detail, faults = "http_error", phrase, ()
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


def _faults(errors: Any) -> tuple[Fault, ...]:
    """The faults in a problem's `errors`; none if it has another form, as in a proxy's response."""
    try:
        return tuple(Fault(each["pointer"], each["detail"]) for each in errors or ())
    except (KeyError, TypeError):
        return ()
