"""The shape of Replicate's API."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from receiver.dialects.contract import Body, JobView, Refused, Submission
from store.records.jobs import Status

_MEMBERS: Final = frozenset({"version", "input", "webhook", "webhook_events_filter", "stream"})
_STATUSES: Final = {
    Status.PENDING: "starting",
    Status.IN_PROGRESS: "processing",
    Status.COMPLETED: "succeeded",
    Status.FAILED: "failed",
    Status.CANCELLED: "canceled",
}
_TITLES: Final = {401: "Unauthenticated", 422: "Input validation failed"}


def read_submission(kind: str | None, body: Mapping[str, Any]) -> Submission:
    """Read the body of a call that creates a prediction. `kind` is what the path names: a model or
    a deployment; None if the body has a `version`.

    Raises:
        Refused: a member is missing, unknown or of the wrong type.
    """
    if unknown := [name for name in body if name not in _MEMBERS]:
        raise Refused(422, f"Additional property {unknown[0]} is not allowed")
    if not isinstance(job_input := body.get("input"), dict):
        raise Refused(422, "input is required")
    if not isinstance(runs := kind or body.get("version"), str):
        raise Refused(422, "version is required")
    if not isinstance(webhook_url := body.get("webhook"), str | None):
        raise Refused(422, "webhook must be a string")
    return Submission(runs, job_input, webhook_url)


def prediction(job: JobView, base_url: str) -> Body:
    """The job, as in all answers and webhooks. `base_url` is that of the API, ending in a slash."""
    url = f"{base_url}predictions/{job.id}"
    return {
        "id": job.id,
        "created_at": datetime.fromtimestamp(job.created_at / 1_000, UTC).isoformat(),
        "model": job.kind,
        "version": "hidden",
        "status": _STATUSES[job.status],
        "input": job.input,
        "output": job.output,
        "error": job.error,
        "urls": {"get": url, "cancel": f"{url}/cancel"},
    }


def error(status_code: int, detail: str) -> Body:
    body: Body = {"detail": detail, "status": status_code}
    return {"title": _TITLES[status_code], **body} if status_code in _TITLES else body
