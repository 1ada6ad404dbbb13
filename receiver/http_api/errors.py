"""Error responses: RFC 9457 problems, with `message` for clients of the provider's API, and the
mapping from exceptions to problems."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from itertools import islice
from typing import Any, Final, TypeVar

from starlette.responses import Response

from receiver.domain.prices import NumberTooLong
from receiver.domain.serialization import compact_json, timestamp
from receiver.engine.cancel_job import JobFinished
from receiver.http_api.responses import NO_STORE
from receiver.server.problem import problem
from receiver.upstream.contract import InputFault
from store.errors import (
    AmbiguousPrefix,
    BudgetExceeded,
    KeyInUse,
    KeyReused,
    NoPrice,
    NotFound,
    OutcomeUnknown,
    StorageFull,
    StoreUnavailable,
)
from store.records.costs import plain

Found = TypeVar("Found")

CONTENT_TYPE = "application/problem+json"

MAX_FAULTS: Final = 20
"""Maximum length of `errors`, so that a response is not much longer than its request."""


@dataclass(eq=False)
class Problem(Exception):
    status: int
    code: str
    """Stable: programs compare it."""
    detail: str
    """For people."""
    _: KW_ONLY
    faults: Sequence[InputFault] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, Any] = field(default_factory=dict)
    """Further members of the body."""

    def __str__(self) -> str:
        return self.detail

    def document(self) -> dict[str, Any]:
        """The body, ready for JSON."""
        document = {**problem(self.status, self.code, self.detail), **self.members}
        if self.faults:
            document["errors"] = [
                {"pointer": fault.pointer, "detail": fault.text} for fault in self.faults
            ]
        return document

    def response(self) -> Response:
        return Response(
            compact_json(self.document()),
            status_code=self.status,
            headers={**NO_STORE, **self.headers},
            media_type=CONTENT_TYPE,
        )


def invalid(at: str, detail: str) -> Problem:
    """The problem for an invalid member of a body; `at` is its pointer."""
    return Problem(400, "invalid_request", detail, faults=[InputFault(at, detail)])


def raise_for_faults(faults: Iterable[InputFault]) -> None:
    """Refuse a body that has faults. The first one becomes the message. At most `MAX_FAULTS` are
    listed; if there are more, the last entry says how many are missing.

    Raises:
        Problem: 400, if there are any.
    """
    found = iter(faults)
    listed = list(islice(found, MAX_FAULTS))
    if beyond := sum(1 for _ in found):
        listed[-1] = InputFault("", f"There are {beyond + 1} more errors, which are not listed.")
    if listed:
        raise Problem(400, "invalid_request", listed[0].detail, faults=listed)


def bad_query(name: str, detail: str) -> Problem:
    return Problem(400, "invalid_query", f"The query parameter {name} {detail}.")


def not_found() -> Problem:
    """The problem for something that does not exist or belongs to another user."""
    return Problem(404, "not_found", "Request not found.")


def or_404(found: Found | None) -> Found:
    """Return `found`. Raises `not_found` if it is None."""
    if found is None:
        raise not_found()
    return found


def storage_unavailable(detail: str, **members: Any) -> Problem:
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


_PROBLEMS: Final[Mapping[type[Exception], Problem]] = {
    NotFound: not_found(),
    OutcomeUnknown: Problem(
        503,
        "outcome_unknown",
        "Storage failed while this request was being saved, so whether it was saved is unknown."
        " Repeat it with the same Idempotency-Key; without one, check GET /v1/jobs first.",
        headers={"Retry-After": "2"},
    ),
    StoreUnavailable: storage_unavailable(
        "Storage is unavailable; nothing was saved. Please retry."
    ),
    KeyReused: Problem(
        422,
        "idempotency_key_reused",
        "This Idempotency-Key was used with another body. Use a new key.",
    ),
    KeyInUse: Problem(
        409,
        "idempotency_key_in_use",
        "The first request with this Idempotency-Key is still running.",
        headers={"Retry-After": "1"},
    ),
    StorageFull: Problem(
        429,
        "storage_full",
        "The inputs and results of your jobs take as much space as a user may have (USER_STORAGE)."
        " Your oldest jobs are removed RETENTION_DAYS after their end, which frees theirs; the"
        " operator can raise either limit. Nothing was saved.",
        headers={"Retry-After": "3600"},
    ),
    NoPrice: Problem(
        402,
        "no_price",
        "You have a budget, and the operator has set no price for this kind of job. Nothing was"
        " saved.",
    ),
    AmbiguousPrefix: Problem(
        409, "ambiguous_prefix", "Several keys have this prefix; nothing was revoked."
    ),
}
"""By error class; a class takes precedence over its bases. These are shared: never raise them."""


def as_problem(error: Exception) -> Problem | None:
    """The problem response for an error; None if the error is unexpected."""
    match error:
        case Problem():
            return error
        case JobFinished(job=job):
            text = f"The job is already finished: it is {job.status}."
            members = {"request_id": job.id, "job": error.document}
            return Problem(409, "job_finished", text, members=members)
        case BudgetExceeded():
            resets_at = timestamp(error.resets_at)
            members = {
                "budget": error.budget.text,
                "spent": plain(error.spent),
                "resets_at": resets_at,
            }
            text = (
                f"Your budget is {error.budget.text}, and {plain(error.spent)} of it is spent:"
                f" this job would exceed it. The next period begins at {resets_at}."
                " Nothing was saved."
            )
            return Problem(402, "budget_exceeded", text, members=members)
        case NumberTooLong():
            return invalid("".join(f"/{name}" for name in ("input", *error.path)), str(error))
        case _:
            return next((_PROBLEMS[k] for k in type(error).__mro__ if k in _PROBLEMS), None)
