"""Error responses: RFC 9457 problems, with `message` for clients of the provider's API, and the
mapping from exceptions to problems."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from itertools import islice
from typing import Any, Final

from starlette.responses import Response

from receiver.domain.serialization import compact_json
from receiver.providers.contract import InputFault
from store.errors import KeyInUse, KeyReused, NotFound, OutcomeUnknown, StoreUnavailable

CONTENT_TYPE = "application/problem+json"

MAX_FAULTS: Final = 20
"""Maximum length of `errors`, so that a response is not much longer than its request."""
_POINTER_PART: Final = 64


class Problem(Exception):
    """An error response. `code` is stable, `detail` is for people."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        faults: Sequence[InputFault] = (),
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
                {
                    "pointer": fault.pointer,
                    # Clients of the provider's API may compare `message`, so it has no hint.
                    "detail": f"{fault.detail}: {fault.hint}" if fault.hint else fault.detail,
                }
                for fault in self.faults
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
    except ValueError:  # passed on from a provider, which may use a status of its own
        return "Error"


def pointer(*names: str) -> str:
    """The JSON pointer of a member (RFC 6901). Long names are truncated."""
    return "".join(
        "/" + name[:_POINTER_PART].replace("~", "~0").replace("/", "~1") for name in names
    )


def invalid(faults: Iterable[InputFault]) -> Problem:
    """The problem for an invalid body. The first fault becomes the message. At most `MAX_FAULTS`
    are listed; if there are more, the last entry says how many."""
    found = iter(faults)
    listed = list(islice(found, MAX_FAULTS))
    if beyond := sum(1 for _ in found):
        listed[-1] = InputFault("", f"There are {beyond + 1} more errors, which are not listed.")
    return Problem(400, "invalid_request", listed[0].detail, faults=listed)


def bad_query(name: str, detail: str) -> Problem:
    """The problem for an invalid query parameter."""
    return Problem(400, "invalid_query", f"The query parameter {name} {detail}.")


def not_found() -> Problem:
    """The problem for something that does not exist or belongs to another user."""
    return Problem(404, "not_found", "Request not found.")


def storage_unavailable(detail: str, **members: Any) -> Problem:
    """The problem for a store that is unavailable."""
    return Problem(
        503, "storage_unavailable", detail, headers={"Retry-After": "2"}, members=members
    )


def unexpected() -> Problem:
    """The problem for a bug of ours."""
    return Problem(
        500,
        "internal_error",
        "Internal error. The service's log has details under this response's X-Request-ID.",
    )


def as_problem(error: Exception) -> Problem | None:
    """The problem response for an error; None if the error is unexpected."""
    match error:
        case Problem():
            return error
        case NotFound():
            return not_found()
        case OutcomeUnknown():
            return Problem(
                503,
                "outcome_unknown",
                "Storage failed while this request was being saved, so whether it was saved is"
                " unknown. Repeat it with the same Idempotency-Key; without one, check"
                " GET /v1/jobs first.",
                headers={"Retry-After": "2"},
            )
        case StoreUnavailable():
            return storage_unavailable("Storage is unavailable; nothing was saved. Please retry.")
        case KeyReused():
            return Problem(
                422,
                "idempotency_key_reused",
                "This Idempotency-Key was used with another body. Use a new key.",
            )
        case KeyInUse():
            return Problem(
                409,
                "idempotency_key_in_use",
                "The first request with this Idempotency-Key is still running.",
                headers={"Retry-After": "1"},
            )
        case _:
            return None
