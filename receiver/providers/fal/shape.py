"""The shape of fal's queue API. Functions that return a pair give the HTTP status and the body, or
its JSON."""

from collections.abc import Mapping
from typing import Any, Final

from receiver.domain.client_webhooks import ClientWebhooks
from receiver.upstream.shapes import Body, JobView, encode, output_in, view_of
from store.records.jobs import Job, Status

NO_OBJECT: Final = "result_is_no_object"
"""The detail of a job whose result is no object: it is stored as the member `output` of one."""


def accepted(job: JobView, base_url: str, queue_position: int = 0) -> Body:
    """The answer to a submission. `base_url` is that of the API, ending in a slash."""
    parts = job.kind.split("/")
    owner_and_alias = "/".join(parts[: 3 if parts[0] in ("workflows", "comfy") else 2])
    url = f"{base_url}{owner_and_alias}/requests/{job.id}"
    return {
        "status": "IN_QUEUE",
        "request_id": job.id,
        "response_url": url,
        "status_url": f"{url}/status",
        "cancel_url": f"{url}/cancel",
        "queue_position": queue_position,
    }


def status(job: JobView, base_url: str, queue_position: int = 0) -> tuple[int, Body]:
    """Where a request stands."""
    given = accepted(job, base_url)
    body: Body = {name: given[name] for name in ("request_id", "response_url")}
    body |= {"logs": [], "metrics": job.details.get("metrics") or {}}
    if job.is_final:
        return 200, {"status": "COMPLETED", **body, **_failure(job)}
    word = "IN_QUEUE" if job.status is Status.PENDING else "IN_PROGRESS"
    return 202, {"status": word, **body, "queue_position": queue_position}


def response(job: JobView) -> tuple[int, bytes]:
    """The result, or why there is none."""
    if not job.is_final:
        return 400, encode(error("Request is still in progress"))
    if failure := _failure(job):
        return _status_code(job), encode({**failure, "detail": _detail(job)})
    return 200, job.output.encode("ascii")


def webhook(job: JobView) -> bytes:
    """The body of the webhook about the end of a job. That of a job which COMPLETED lacks the
    payload, which `complete` adds."""
    said: Body = {"request_id": job.id, "gateway_request_id": job.id}
    if _failure(job):
        failed = f"Invalid status code: {_status_code(job)}"
        return encode(said | {"status": "ERROR", "error": failed, "payload": error(_detail(job))})
    return encode(said | {"status": "OK", "error": None})


def complete(webhook: bytes, output: str) -> bytes:
    """Add the payload, which can be large; `output` is JSON."""
    return b'%b,"payload":%b}' % (webhook[:-1], output.encode("ascii"))


def cancellation(job: JobView) -> tuple[int, Body]:
    """The answer to a cancel, for the job as it was before."""
    if job.is_final:
        return 400, {"status": "ALREADY_COMPLETED"}
    return 202, {"status": "CANCELLATION_REQUESTED"}


def error(detail: Any) -> Body:
    return {"detail": detail}


def _failure(job: JobView) -> dict[str, str]:
    """The members of a job that ended without a result; none for any other."""
    match job.status:
        case Status.CANCELLED:
            return {"error": "Request was cancelled.", "error_type": "client_cancelled"}
        case Status.FAILED:
            return {"error": job.error or "failed", "error_type": "internal_error"}
        case _:
            return {}


def _status_code(job: JobView) -> int:
    """The status of a result call for a job that ended without one."""
    if job.status is Status.CANCELLED:
        return 499
    code = job.details.get("status_code")
    return code if isinstance(code, int) and 400 <= code < 600 else 500


def _detail(job: JobView) -> Any:
    return job.details.get("detail") or _failure(job)["error"]


def output_of(result: str | None, details: Mapping[str, Any] | None) -> str:
    """The output, as fal gave it, in the JSON of a stored result. `details` are the job's."""
    return output_in(result) if (details or {}).get(NO_OBJECT) else result or "null"


class FalWebhooks(ClientWebhooks):
    def stored(self, job: Job) -> bytes:
        return webhook(view_of(job))

    def whole(
        self,
        status: Status,
        stored: bytes,
        job_input: str,
        result: str,
        details: Mapping[str, Any] | None,
    ) -> bytes:
        is_completed = status is Status.COMPLETED
        return complete(stored, output_of(result, details)) if is_completed else stored
