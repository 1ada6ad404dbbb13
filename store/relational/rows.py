"""Jobs and their rows."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from store.records import (
    Claim,
    Due,
    ErrorCode,
    Evidence,
    Job,
    JobError,
    Lane,
    Phase,
    Status,
    Tracking,
)
from store.relational.session import Row

FIXED_COLUMNS = (
    "id",
    "user_id",
    "provider",
    "kind",
    "created_at",
    "metadata",
    "webhook_url",
    "webhook_events",
    "webhook_off",
)
"""What a job is created with and keeps, in the order of `fixed_values`."""

MUTABLE_COLUMNS = (
    "status",
    "phase",
    "seq",
    "updated_at",
    "progress",
    "provider_status",
    "evidence",
    "message",
    "result",
    "error_code",
    "error_message",
    "error_billed",
    "provider_request_id",
    "id_from_answer",
    "done_at",
    "accepted_at",
    "unconfirmed_at",
    "result_at",
    "attempts",
    "maybe_sent",
    "refused_with",
    "tracking",
)
"""What a change of a job may write, in the order of `mutable_values`."""

MUTABLE = slice(10, 32)
"""The same columns in a `job_rows` row."""

HOLDER = 34
"""The column that says who holds the job's due row."""

_UNTRACKED = Tracking()


def to_json(value: object) -> str:
    """Compact ASCII JSON."""
    return json.dumps(value, separators=(",", ":"))


def job_from_row(row: Row) -> Job:
    """The job that a row of the `job_rows` view tells of."""
    (
        id_,
        user_id,
        user,
        provider,
        kind,
        created_at,
        metadata,
        webhook_url,
        webhook_events,
        webhook_off,
        status,
        phase,
        seq,
        updated_at,
        progress,
        provider_status,
        evidence,
        message,
        result,
        error_code,
        error_message,
        error_billed,
        provider_request_id,
        id_from_answer,
        done_at,
        accepted_at,
        unconfirmed_at,
        result_at,
        attempts,
        maybe_sent,
        refused_with,
        tracking,
        lane,
        due_at,
        _holder,
        callbacks_waiting,
    ) = row
    return Job(
        id=id_,
        user_id=user_id,
        user=user,
        provider=provider,
        kind=kind,
        status=Status(status),
        phase=Phase(phase),
        seq=seq,
        created_at=created_at,
        updated_at=updated_at,
        progress=progress,
        provider_status=provider_status,
        evidence=None if evidence is None else Evidence(evidence),
        message=message,
        result=None if result is None else json.loads(result),
        error=(
            None
            if error_code is None
            else JobError(ErrorCode(error_code), error_message, bool(error_billed))
        ),
        provider_request_id=provider_request_id,
        id_from_answer=bool(id_from_answer),
        done_at=done_at,
        accepted_at=accepted_at,
        unconfirmed_at=unconfirmed_at,
        result_at=result_at,
        attempts=attempts,
        maybe_sent=bool(maybe_sent),
        refused_with=refused_with,
        metadata=None if metadata is None else json.loads(metadata),
        webhook_url=webhook_url,
        webhook_events=tuple(webhook_events.split(",")) if webhook_events else (),
        webhook_off=bool(webhook_off),
        due=None if lane is None else Due(Lane(lane), due_at),
        callbacks_waiting=bool(callbacks_waiting),
        tracking=_UNTRACKED if tracking is None else _tracking_from_json(tracking),
    )


def mutable_values(job: Job) -> tuple[object, ...]:
    """What a change of the job may write, in the order of `MUTABLE_COLUMNS`."""
    error = job.error
    return (
        job.status,
        job.phase,
        job.seq,
        job.updated_at,
        job.progress,
        job.provider_status,
        job.evidence,
        job.message,
        None if job.result is None else to_json(job.result),
        None if error is None else error.code,
        None if error is None else error.message,
        None if error is None else error.may_have_been_billed,
        job.provider_request_id,
        job.id_from_answer,
        job.done_at,
        job.accepted_at,
        job.unconfirmed_at,
        job.result_at,
        job.attempts,
        job.maybe_sent,
        job.refused_with,
        None if job.tracking == _UNTRACKED else _tracking_to_json(job.tracking),
    )


def fixed_values(job: Job) -> tuple[object, ...]:
    """What a job is created with and keeps, in the order of `FIXED_COLUMNS`."""
    return (
        job.id,
        job.user_id,
        job.provider,
        job.kind,
        job.created_at,
        None if job.metadata is None else to_json(job.metadata),
        job.webhook_url,
        ",".join(job.webhook_events),
        job.webhook_off,
    )


def _tracking_to_json(tracking: Tracking) -> str:
    kept: dict[str, object] = {
        "poll_gap": tracking.poll_gap,
        "polls": tracking.polls,
        "misses": tracking.misses,
        "missed_since": tracking.missed_since,
        "failing_since": tracking.failing_since,
        "link_missing": tracking.link_missing,
    }
    # What is not there reads as its default: the column stays short.
    kept = {name: value for name, value in kept.items() if value != getattr(_UNTRACKED, name)}
    if tracking.claims:
        kept["claims"] = [_claim_to_list(claim) for claim in tracking.claims]
    return to_json(kept)


def _tracking_from_json(text: str) -> Tracking:
    kept: Mapping[str, Any] = json.loads(text)
    return Tracking(**{**kept, "claims": tuple(map(_claim_from_list, kept.get("claims", ())))})


def _claim_to_list(claim: Claim) -> list[object]:
    return [
        claim.callback_id,
        claim.received_at,
        claim.status,
        claim.word,
        claim.result,
        claim.message,
    ]


def _claim_from_list(values: Sequence[Any]) -> Claim:
    callback_id, received_at, status, word, result, message = values
    return Claim(callback_id, received_at, Status(status), word, result, message)
