"""The shape of fal's queue API. Functions that return a pair give the HTTP status and the body."""

from receiver.dialects.contract import Body, JobView
from store.records.jobs import Status


def accepted(job: JobView, base_url: str) -> Body:
    """The answer to a submission. `base_url` is that of the API, ending in a slash."""
    owner_and_alias = "/".join(job.kind.split("/")[:2])
    url = f"{base_url}{owner_and_alias}/requests/{job.id}"
    return {
        "request_id": job.id,
        "response_url": url,
        "status_url": f"{url}/status",
        "cancel_url": f"{url}/cancel",
        "queue_position": 0,
    }


def status(job: JobView) -> tuple[int, Body]:
    if job.is_final:
        return 200, {"status": "COMPLETED", "logs": [], "metrics": {}, **_failure(job)}
    if job.status is Status.PENDING:
        return 202, {"status": "IN_QUEUE", "queue_position": 0}
    return 202, {"status": "IN_PROGRESS", "logs": []}


def response(job: JobView) -> tuple[int, Body]:
    """The result, or why there is none."""
    if not job.is_final:
        return 400, error("Request is still in progress")
    if failure := _failure(job):
        return 500, error(failure["error"]) | failure
    return 200, job.output


def webhook(job: JobView) -> Body:
    """The message about the end of a job."""
    said: Body = {"request_id": job.id, "gateway_request_id": job.id}
    if failure := _failure(job):
        return said | {"status": "ERROR", **failure, "payload": error(failure["error"])}
    return said | {"status": "OK", "error": None, "payload": job.output}


def cancellation(job: JobView) -> tuple[int, Body]:
    """The answer to a cancel, for the job as it was before."""
    if job.is_final:
        return 400, {"status": "ALREADY_COMPLETED"}
    return 202, {"status": "CANCELLATION_REQUESTED"}


def error(detail: str) -> Body:
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
