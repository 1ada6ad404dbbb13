"""The shape of Samsar's API."""

from collections.abc import Mapping
from typing import Any

from receiver.dialects.contract import Body, JobView, Refused, Submission


def read_submission(kind: str, body: Mapping[str, Any]) -> Submission:
    """Read the body of a call that creates a job; what its `input` may be is not checked.

    Raises:
        Refused: a member has the wrong type.
    """
    job_input, webhook_url = body.get("input"), body.get("webhookUrl")
    if not isinstance(job_input, dict):
        raise Refused(400, "Input is required")
    if not isinstance(webhook_url, str | None):
        raise Refused(400, "webhookUrl must be a string")
    return Submission(kind, job_input, webhook_url)


def accepted(job: JobView) -> Body:
    return {"request_id": job.id}


def status(job: JobView) -> Body:
    """The answer to a status call; unknown members are left out."""
    members = {
        "status": job.status,
        "progress": job.progress,
        "result": job.output,
        "message": job.error,
    }
    return {name: value for name, value in members.items() if value is not None}


def webhook(job: JobView) -> Body:
    return {"request_id": job.id, **status(job)}


def error(detail: str) -> Body:
    return {"message": detail}
