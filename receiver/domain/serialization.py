"""Serializes jobs: the JSON document, event data, webhook bodies.

`GET`, lists and streams share one document, and a replayed event has the same bytes as a live one.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, overload

from receiver.domain import documents, failures
from receiver.domain.schedule import Rules
from store.records.archive import ArchivedFile
from store.records.costs import Cost, plain
from store.records.deliveries import RelayMessage
from store.records.jobs import ErrorCode, Job, JobError, Status
from store.records.times import Millis

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


def cost_document(cost: Cost | None) -> documents.Cost | None:
    """The `cost` member; None without a price."""
    if cost is None:
        return None
    return {"amount": plain(cost.amount), "currency": cost.currency, "state": cost.state}


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


def job_document(job: Job, root: str) -> documents.Job:
    """The job's document, ready for JSON. Its links begin with `root`, as in `Rules`."""
    path = f"{root}/v1/jobs/{job.id}"
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
        "cost": cost_document(job.cost),
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


def status_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a job's document that webhooks and the status call of the drop-in API have;
    missing values are left out."""
    names = ("request_id", "status", "progress", "result", "message")
    return {name: document[name] for name in names if document[name] is not None}


def event_data(job: Job, root: str) -> bytes:
    """The data of the job's latest event: its document, as one line of ASCII JSON."""
    return compact_json(job_document(job, root))


def relay_body(event: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """The webhook body for an event, by its name in `webhookEvents`, and its job document."""
    return status_document(document) | {
        "type": f"job.{event.lower()}",
        "timestamp": document["updated_at"],
        **{name: document[name] for name in ("seq", "kind", "metadata", "error")},
    }


def _webhook_event(before: Job, after: Job) -> str | None:
    """IN_PROGRESS at the change to that status, `progress` at each later change of what
    `status_document` shows, and a final status under its own name."""
    if after.done:
        return after.status
    if after.status is not Status.IN_PROGRESS:
        return None
    if before.status is not Status.IN_PROGRESS:
        return "IN_PROGRESS"
    progressed = (before.progress, before.message) != (after.progress, after.message)
    return "progress" if progressed else None


def relay_message(
    before: Job, after: Job, document: Mapping[str, Any], now: Millis, rules: Rules
) -> RelayMessage | None:
    """The webhook for a change at `now`; None if the user did not subscribe to it. `document` is
    that of the job afterwards. The body has the shape of the provider's own webhooks, if the client
    spoke the provider's API."""
    name = _webhook_event(before, after)
    if after.webhook_url is None or name not in after.webhook_events:
        return None
    client = rules.client_webhooks.get(after.source or "")
    body = client.stored(after) if client else compact_json(relay_body(name, document))
    return RelayMessage(
        final=after.done,
        provisional=failures.is_provisional(after),
        status=after.status,
        body=body,
        delay=rules.relay_first,
        at=now,
    )
