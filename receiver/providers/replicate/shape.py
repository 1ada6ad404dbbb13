"""The shape of Replicate's API."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from receiver.domain.client_webhooks import ClientWebhooks
from receiver.upstream.shapes import Body, JobView, Refused, Submission, encode, output_in, view_of
from store.records.jobs import Job, Status
from store.records.times import Millis

FILTER: Final = {"start": ("IN_PROGRESS",), "completed": ("COMPLETED", "FAILED", "CANCELLED")}
"""Of `webhook_events_filter`, by the names in `webhookEvents`; `output` and `logs` send nothing."""

_MEMBERS: Final = frozenset({"version", "input", "webhook", "webhook_events_filter", "stream"})
_EVENTS: Final = ("start", "output", "logs", "completed")
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
    if unknown := [name[:64] for name in body if name not in _MEMBERS]:
        raise Refused(422, f"Additional property {unknown[0]} is not allowed", unknown[0])
    if not isinstance(job_input := body.get("input"), dict):
        raise Refused(422, "input is required", "input")
    if not isinstance(runs := kind or body.get("version"), str):
        raise Refused(422, "version is required", "version")
    if not isinstance(webhook_url := body.get("webhook"), str | None):
        raise Refused(422, "webhook must be a string", "webhook")
    return Submission(runs, job_input, webhook_url)


def read_filter(body: Mapping[str, Any]) -> list[str]:
    """The body's `webhook_events_filter` in its order, each event once.

    Raises:
        Refused: it has another event, or is no list.
    """
    wanted = body.get("webhook_events_filter")
    if wanted is None:
        return ["completed"]
    if not isinstance(wanted, list) or any(each not in _EVENTS for each in wanted):
        detail = f"webhook_events_filter must be a list of {', '.join(_EVENTS)}"
        raise Refused(422, detail, "webhook_events_filter")
    return [*dict.fromkeys(wanted)]


def webhook_events(wanted: Sequence[str]) -> tuple[str, ...]:
    """The events of a `webhook_events_filter`, by their names in `webhookEvents`."""
    return tuple(event for name, events in FILTER.items() if name in wanted for event in events)


def prediction(job: JobView, base_url: str) -> bytes:
    """The job, as in all answers. `base_url` is that of the API, ending in a slash."""
    return complete(encode(_members(job, base_url)), job.input, job.output)


def webhook(job: JobView, base_url: str) -> bytes:
    """The body of a webhook, without the members that `complete` adds."""
    return encode(_members(job, base_url))


def complete(webhook: bytes, job_input: str, output: str) -> bytes:
    """Add the members that can be large; both are JSON."""
    return b'%b,"input":%b,"output":%b}' % (
        webhook[:-1],
        job_input.encode("ascii"),
        output.encode("ascii"),
    )


def version(version_id: str, created_at: Millis) -> Body:
    """A version of a model, without its schema."""
    return {
        "id": version_id,
        "created_at": _time(created_at),
        "cog_version": "",
        "openapi_schema": {},
    }


def _members(job: JobView, base_url: str) -> Body:
    url, said = f"{base_url}predictions/{job.id}", job.details
    model, version = _names(job.kind)
    started_at = said.get("started_at") or _time(said.get("in_progress_at"))
    members: Body = {
        "id": job.id,
        "model": model or said.get("model") or "hidden",
        "version": version or said.get("version") or "hidden",
        "logs": said.get("logs") or "",
        "error": job.error,
        "status": _STATUSES[job.status],
        "source": "api",
        "data_removed": False,
        "metrics": said.get("metrics") or {},
        "created_at": _time(job.created_at),
        "started_at": None if job.status is Status.PENDING else started_at,
        "completed_at": said.get("completed_at") or _time(job.done_at),
        "urls": {"get": url, "cancel": f"{url}/cancel"},
    }
    if job.webhook_url is not None:
        members["webhook"] = job.webhook_url
        members["webhook_events_filter"] = said.get(
            "webhook_events_filter",
            [name for name, events in FILTER.items() if events[0] in job.webhook_events],
        )
    return members


def _names(kind: str) -> tuple[str | None, str | None]:
    """Model and version in a kind: `owner/name`, `owner/name:version`, a version, or a
    deployment."""
    if kind.startswith("deployments/"):
        return None, None
    model, _, version = kind.partition(":")
    return (model, version or None) if "/" in model else (None, kind)


def _time(at: Millis | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at / 1_000, UTC).isoformat()


def error(status_code: int, detail: str) -> Body:
    body: Body = {"detail": detail, "status": status_code}
    return {"title": _TITLES[status_code], **body} if status_code in _TITLES else body


class ReplicateWebhooks(ClientWebhooks):
    def __init__(self, base_url: str) -> None:
        """Addresses in webhooks begin with `base_url`, that of the API, ending in a slash."""
        self._base_url = base_url

    def stored(self, job: Job) -> bytes:
        return webhook(view_of(job), self._base_url)

    def whole(
        self,
        status: Status,
        stored: bytes,
        job_input: str,
        result: str,
        details: Mapping[str, Any] | None,
    ) -> bytes:
        output = output_in(result) if status is Status.COMPLETED else "null"
        return complete(stored, job_input, output)
