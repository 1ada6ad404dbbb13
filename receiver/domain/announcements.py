"""How a job is told: its JSON document, an event's bytes, a relay's body.

One document serves `GET`, lists and streams (contract 6): a stream replays what was live.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from store.records import (
    ErrorCode,
    Job,
    JobError,
    Millis,
    RelayMessage,
    Status,
)

WEBHOOK_EVENTS = ("IN_PROGRESS", "progress", "COMPLETED", "FAILED", "CANCELLED")
DEFAULT_WEBHOOK_EVENTS = ("IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED")

SELF_DECLARED = frozenset(
    {
        ErrorCode.DEADLINE_EXCEEDED,
        ErrorCode.SUBMIT_OUTCOME_UNKNOWN,
        ErrorCode.RESULT_MISSING,
        ErrorCode.PROVIDER_JOB_LOST,
    }
)
"""Failures without the provider's word: each gives way once to its outcome (contract 6, rule 3)."""

RETRYABLE = frozenset({ErrorCode.NOT_SUBMITTED, ErrorCode.PROVIDER_CREDENTIALS})
"""Failures after which a new submission could end otherwise without the risk of paying twice."""

MESSAGE_CHARACTERS = 8_192
PROVIDER_STATUS_CHARACTERS = 64
RESULT_BYTES = 64 * 1024

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def compact_json(value: Mapping[str, Any]) -> bytes:
    """One line of ASCII: nothing in it ends a line, whatever a reader takes for a line's end."""
    return _encode(value).encode("ascii")


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


def is_self_declared(job: Job) -> bool:
    """Whether the job ended by our word alone, and may still be corrected."""
    return job.error is not None and job.error.code in SELF_DECLARED


def error_document(error: JobError | None) -> dict[str, Any] | None:
    """The `error` member, None where there is none."""
    if error is None:
        return None
    return {
        "code": error.code,
        "message": error.message,
        "retryable": error.code in RETRYABLE,
        "may_have_been_billed": error.may_have_been_billed,
    }


def job_document(job: Job) -> dict[str, Any]:
    """The job as contract 6 shows it, ready for JSON."""
    path = f"/v1/jobs/{job.id}"
    return {
        "request_id": job.id,
        "user": job.user,
        "provider": job.provider,
        "provider_request_id": job.provider_request_id,
        "kind": job.kind,
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


def status_document(job: Job) -> dict[str, Any]:
    """The job as the provider's own status call tells it; what is not there is absent."""
    document = {
        "request_id": job.id,
        "status": job.status,
        "progress": number(job.progress),
        "result": job.result,
        "message": job.message,
    }
    return {name: value for name, value in document.items() if value is not None}


def event_data(job: Job) -> bytes:
    """The data of the event that made the job what it is: one line of ASCII JSON."""
    return compact_json(job_document(job))


def relay_message(before: Job, after: Job, delay: Millis) -> RelayMessage | None:
    """The webhook that a change owes its user, None where they asked for none of it.

    IN_PROGRESS is told at the change to that status, `progress` at each later change of what the
    body says, a final state always by its own name. `delay` is the schedule's first gap.
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
    body = status_document(after) | {
        "seq": after.seq,
        "kind": after.kind,
        "metadata": after.metadata or {},
        "error": error_document(after.error),
    }
    return RelayMessage(
        final=after.done,
        self_declared=is_self_declared(after),
        status=after.status,
        body=compact_json(body),
        delay=delay,
    )


def cut(text: str, characters: int) -> str:
    """The text, no longer than so many characters."""
    return text[:characters]


def fitting_result(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The result within its bound: the link first, then each further member that still fits."""
    if len(compact_json(result)) <= RESULT_BYTES:
        return result
    fitted: dict[str, Any] = {"videoUrl": result["videoUrl"]}
    size = len(compact_json(fitted))
    for name, value in result.items():
        more = len(compact_json({name: value}))
        if name != "videoUrl" and size + more <= RESULT_BYTES:
            fitted[name] = value
            size += more
    return fitted
