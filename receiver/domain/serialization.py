"""Serializes jobs: the JSON document, event data, webhook bodies.

`GET`, lists and streams share one document, and a replayed event has the same bytes as a live one.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, overload

from receiver.domain import documents
from store.records.archive import ArchivedFile
from store.records.deliveries import RelayMessage
from store.records.jobs import ErrorCode, Job, JobError, Status
from store.records.times import Millis

PROVISIONAL_FAILURES = frozenset(
    {
        ErrorCode.DEADLINE_EXCEEDED,
        ErrorCode.SUBMIT_OUTCOME_UNKNOWN,
        ErrorCode.RESULT_MISSING,
        ErrorCode.PROVIDER_JOB_LOST,
    }
)
"""Failures that we declared without knowing the outcome (NOT_SUBMITTED is certain): the provider's
own outcome replaces each of them once."""

RETRYABLE = frozenset({ErrorCode.NOT_SUBMITTED, ErrorCode.PROVIDER_CREDENTIALS})
"""Failures after which a new submission may succeed without the risk of paying twice."""

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def compact_json(value: Mapping[str, Any]) -> bytes:
    """JSON as one line of ASCII, without any character that a client could take for a line end."""
    return _encode(value).encode("ascii")


@overload
def timestamp(at: Millis) -> str: ...
@overload
def timestamp(at: Millis | None) -> str | None: ...
@lru_cache(4096)
def timestamp(at: Millis | None) -> str | None:
    """RFC 3339 in UTC with milliseconds, `2026-01-02T03:04:05.678Z`."""
    if at is None:
        return None
    seconds, millis = divmod(at, 1_000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{millis:03d}Z"


def number(progress: float | None) -> float | int | None:
    """A whole number without its `.0`."""
    return int(progress) if progress is not None and progress == int(progress) else progress


def is_provisional(job: Job) -> bool:
    """Whether its outcome is one of `PROVISIONAL_FAILURES`."""
    return job.error is not None and job.error.code in PROVISIONAL_FAILURES


def error_document(error: JobError | None) -> documents.JobError | None:
    """The `error` member; None if there is none."""
    if error is None:
        return None
    return {
        "code": error.code,
        "message": error.message,
        "retryable": error.code in RETRYABLE,
        "may_have_been_billed": error.may_have_been_billed,
    }


def file_document(file: ArchivedFile) -> documents.ArchivedFile:
    """One member of `archive`."""
    return {
        "link": file.link,
        "state": file.state,
        "bytes": file.bytes,
        "content_type": file.content_type,
        "sha256": file.sha256,
        "error": file.error,
    }


def job_document(job: Job) -> documents.Job:
    """The job's document, ready for JSON."""
    path = f"/v1/jobs/{job.id}"
    return {
        "request_id": job.id,
        "user": job.user,
        "provider": job.provider,
        "provider_request_id": job.provider_request_id,
        "kind": job.kind,
        "label": job.label,
        "status": job.status,
        "phase": job.phase,
        "done": job.done,
        "progress": number(job.progress),
        "seq": job.seq,
        "result": job.result,
        "message": job.message,
        "error": error_document(job.error),
        "provider_status": job.provider_status,
        "evidence": job.evidence,
        "metadata": job.metadata or {},
        "archive": [file_document(file) for file in job.archive],
        "created_at": timestamp(job.created_at),
        "updated_at": timestamp(job.updated_at),
        "done_at": timestamp(job.done_at),
        "links": {
            "self": path,
            "events": f"{path}/events",
            "history": f"{path}/history",
            "cancel": f"{path}/cancel",
        },
    }


_STATUS_MEMBERS = ("request_id", "status", "progress", "result", "message")


def status_document(job: Job) -> dict[str, Any]:
    """The job in the format of Samsar's status call; missing values are left out."""
    document = {
        "request_id": job.id,
        "status": job.status,
        "progress": number(job.progress),
        "result": job.result,
        "message": job.message,
    }
    return {name: value for name, value in document.items() if value is not None}


def event_data(job: Job) -> bytes:
    """The data of the job's latest event: one line of ASCII JSON."""
    return compact_json(job_document(job))


def relay_body(event: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """The webhook body for an event, by its name in `webhookEvents`, and its job document."""
    said = {name: document[name] for name in _STATUS_MEMBERS if document[name] is not None}
    return said | {
        "type": f"job.{event.lower()}",
        "timestamp": document["updated_at"],
        **{name: document[name] for name in ("seq", "kind", "metadata", "error")},
    }


def relay_message(before: Job, after: Job, now: Millis, delay: Millis) -> RelayMessage | None:
    """The webhook for a change at `now`; None if the user did not subscribe to it.

    IN_PROGRESS is sent at the change to that status, `progress` at each later change of what
    `status_document` shows, and a final status under its own name. `delay` is the schedule's first
    gap.
    """
    if after.webhook_url is None:
        return None
    if after.done:
        name: str = after.status
    elif after.status is Status.IN_PROGRESS and before.status is not Status.IN_PROGRESS:
        name = "IN_PROGRESS"
    elif after.status is Status.IN_PROGRESS and status_document(before) != status_document(after):
        name = "progress"
    else:
        return None
    if name not in after.webhook_events:
        return None
    return RelayMessage(
        final=after.done,
        provisional=is_provisional(after),
        status=after.status,
        body=compact_json(relay_body(name, job_document(after))),
        delay=delay,
        at=now,
    )
