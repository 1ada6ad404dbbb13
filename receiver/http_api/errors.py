"""One shape for every refusal (RFC 9457, and `message` for clients of the provider's API), and the
one table of which error of ours is which answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from receiver.domain.announcements import compact_json
from store.errors import KeyHeld, KeyReused, NotFound, StoreUnavailable

CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request."""

    pointer: str
    """JSON pointer into the body, such as `/input/prompt`."""
    detail: str


class Problem(Exception):
    """An answer that is an error. `code` is stable, `detail` is for people."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.faults = faults
        self.headers = dict(headers or {})
        self.members = dict(members or {})

    def document(self) -> dict[str, Any]:
        """The body, ready for JSON."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": _title(self.status),
            "status": self.status,
            "detail": self.detail,
            "message": self.detail,
            "code": self.code,
            **self.members,
        }
        if self.faults:
            document["errors"] = [
                {"pointer": fault.pointer, "detail": fault.detail} for fault in self.faults
            ]
        return document

    def response(self) -> Response:
        return Response(
            compact_json(self.document()),
            status_code=self.status,
            headers=self.headers,
            media_type=CONTENT_TYPE,
        )


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # a provider's refusal is passed on, and it may be a status of its own
        return "Error"


def invalid(faults: Sequence[Fault]) -> Problem:
    """A body that says something wrong: the first fault is the message, all of them are listed."""
    return Problem(400, "invalid_request", faults[0].detail, faults=faults)


def bad_query(name: str, detail: str) -> Problem:
    """A query parameter that cannot be used."""
    return Problem(400, "invalid_query", f"The query parameter {name} {detail}.")


def not_found() -> Problem:
    """A thing that is not there, or not this user's."""
    return Problem(404, "not_found", "Request not found.")


def unexpected() -> Problem:
    """A fault of ours; the log has it under the response's X-Request-ID."""
    return Problem(
        500,
        "internal_error",
        "Something went wrong on our side. The X-Request-ID of this response names it in our log.",
    )


def as_problem(error: Exception) -> Problem | None:
    """What an error of ours is to whoever asked; None where it is no known one."""
    match error:
        case Problem():
            return error
        case NotFound():
            return not_found()
        case StoreUnavailable():
            return Problem(
                503,
                "storage_unavailable",
                "Nothing can be stored at the moment. Nothing was; try again.",
                headers={"Retry-After": "2"},
            )
        case KeyReused():
            return Problem(
                422,
                "idempotency_key_reused",
                "This Idempotency-Key was used before with another body. Use a new key.",
            )
        case KeyHeld():
            return Problem(
                409,
                "idempotency_key_in_use",
                "The first request with this Idempotency-Key still waits for its answer.",
                headers={"Retry-After": "1"},
            )
        case _:
            return None
