"""The client's exceptions.

ClientError
├── ApiError           the service answered with an error
├── Unreachable        there was no answer
├── UnreadableAnswer   the answer is not from the service
└── BadRelay           a webhook that the service has not signed, or not recently
"""

import json
import math
from dataclasses import dataclass

import httpx


class ClientError(Exception):
    """Base class of the client's exceptions; the text is for people."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One error in a request."""

    pointer: str
    """JSON pointer into the body, such as `/input/prompt`."""
    detail: str


@dataclass(eq=False)
class ApiError(ClientError):
    """An error response of the service (RFC 9457)."""

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
        super().__init__(self.detail)


class Unreachable(ClientError):
    """There was no answer: nothing is listening, the connection broke, or it timed out."""


class UnreadableAnswer(ClientError):
    """A success status with a body that is not the service's: the URL is probably wrong."""


class BadRelay(ClientError):
    """A webhook that must not be trusted."""


def api_error(response: httpx.Response) -> ApiError:
    """The error in a response with a status of 300 or more, whose body has been read."""
    try:
        problem = json.loads(response.content)
    except (ValueError, RecursionError):
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    phrase = f"{response.status_code} {response.reason_phrase}".strip()
    return ApiError(
        response.status_code,
        _text(problem.get("code"), "http_error"),
        _text(problem.get("detail"), phrase),
        tuple(_faults(problem.get("errors"))),
        response.headers.get("X-Request-ID"),
        _seconds(response.headers.get("Retry-After")),
    )


def _text(value: object, otherwise: str) -> str:
    return value if isinstance(value, str) and value else otherwise


def _faults(value: object) -> list[Fault]:
    if not isinstance(value, list):
        return []
    return [
        Fault(_text(each.get("pointer"), ""), _text(each.get("detail"), ""))
        for each in value
        if isinstance(each, dict)
    ]


def _seconds(header: str | None) -> float | None:
    """Retry-After in seconds, as the service sends it; a date is from a proxy and ignored."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
