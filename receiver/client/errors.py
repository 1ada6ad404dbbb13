"""What the client raises.

ClientError
├── ApiError           the service answered, and the answer is an error
├── Unreachable        no answer came
├── UnreadableAnswer   something answered that is not the service
└── BadRelay           a webhook that the service has not signed, or not lately
"""

import json
import math
from dataclasses import dataclass

import httpx


class ClientError(Exception):
    """Anything that the client raises on purpose; the text is for people."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request."""

    pointer: str
    """JSON pointer into the body, such as `/input/prompt`."""
    detail: str


class ApiError(ClientError):
    """An error in the service's own words (RFC 9457)."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        faults: tuple[Fault, ...] = (),
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        """The HTTP status."""
        self.code = code
        """A stable snake_case word; `http_error` where the answer is not the service's own."""
        self.detail = detail
        self.faults = faults
        self.request_id = request_id
        """The answer's X-Request-ID, which the service's log line carries."""
        self.retry_after = retry_after
        """Seconds after which it is worth asking again, where the answer names them."""


class Unreachable(ClientError):
    """No answer came: nothing listens, the connection broke, or it took too long."""


class UnreadableAnswer(ClientError):
    """A good status with a body that the service would not write: the address is another's."""


class BadRelay(ClientError):
    """A webhook that must not be believed."""


def api_error(response: httpx.Response) -> ApiError:
    """The error in an answer of 300 or more, whose body has been read."""
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
    """The service writes Retry-After as seconds; a date is some proxy's, and left alone."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
