"""The webhooks to clients that speak a provider's own API, in that API's shape."""

from collections.abc import Mapping
from typing import Any, Final

from receiver.dialects import fal, replicate
from receiver.dialects.contract import output_in, view_of
from store.records.jobs import Job, Status

BASE_PATHS: Final = {"replicate": "/replicate/v1/", "fal": "/fal/"}
"""By source: where its API is served."""


def message(job: Job, public_url: str) -> bytes | None:
    """The body about a job's present state, as it is stored: without the members that `complete`
    adds. None if the job's source has no shape of its own."""
    match job.source:
        case "replicate":
            return replicate.webhook(view_of(job), public_url + BASE_PATHS["replicate"])
        case "fal":
            return fal.webhook(view_of(job))
        case _:
            return None


def complete(
    source: str,
    status: Status,
    body: bytes,
    job_input: str,
    result: str,
    details: Mapping[str, Any] | None,
) -> bytes:
    """The body as it is sent. Input and result are JSON of up to megabytes, and kept once; `status`
    is the one that the message is about, `details` are the job's."""
    output = output_of(source, result if status is Status.COMPLETED else None, details)
    if source == "replicate":
        return replicate.complete(body, job_input, output)
    return fal.complete(body, output) if status is Status.COMPLETED else body


def output_of(source: str, result: str | None, details: Mapping[str, Any] | None) -> str:
    """The output, as the provider gave it, in the JSON of a stored result. `details` are the
    job's."""
    if source == "replicate" or (details or {}).get(fal.NO_OBJECT):
        return output_in(result)
    return result or "null"
