"""The shape of Samsar's API."""

from collections.abc import Mapping
from typing import Any

from receiver.upstream.shapes import Body, JobView, Refused, Submission, encode


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


def status(job: JobView) -> bytes:
    """The answer to a status call; unknown members are left out."""
    return _status(job, {})


def webhook(job: JobView) -> bytes:
    return _status(job, {"request_id": job.id})


def _status(job: JobView, first: Body) -> bytes:
    members = {"status": job.status, "progress": job.progress, "message": job.error}
    known = {name: value for name, value in members.items() if value is not None}
    result = {} if job.output == "null" else {"result": job.output}
    return encode(first | known, **result)


def error(detail: str) -> Body:
    return {"message": detail}
