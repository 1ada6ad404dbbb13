"""The part of Replicate's API that a service in front of it uses, with signed webhooks."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from receiver.sandbox.api import Body, SandboxApi, read_object
from receiver.sandbox.jobs import Callback, JobState, SandboxJob
from receiver.webhooks.signing import new_secret, sign
from store.records.jobs import Status

_MEMBERS = frozenset({"version", "input", "webhook", "webhook_events_filter", "stream"})
_STATUSES = {
    Status.PENDING: "starting",
    Status.IN_PROGRESS: "processing",
    Status.COMPLETED: "succeeded",
    Status.FAILED: "failed",
    Status.CANCELLED: "canceled",
}
_PAGE = 100
_STARTED = 25
"""The progress at which the `start` webhook is sent."""


class ReplicateApi(SandboxApi):
    schemes = ("bearer", "token")

    def routes(self) -> Sequence[Route]:
        return [
            self.submission("/v1/predictions", self._create, 201),
            self.call("GET", "/v1/predictions", self._list),
            self.call("GET", "/v1/predictions/{id}", self._read),
            self.call("POST", "/v1/predictions/{id}/cancel", self._cancel),
            self.call("GET", "/v1/webhooks/default/secret", self._show_secret),
            self.submission("/v1/{kind:path}/predictions", self._create, 201),
        ]

    def callback(self, job: SandboxJob, state: JobState) -> Callback | None:
        if not state.is_final and state.progress != _STARTED:
            return None
        body = json.dumps(_prediction(job, state), separators=(",", ":")).encode()
        message_id = f"msg_{job.request_id}_{'completed' if state.is_final else 'start'}"
        return Callback(body, sign([self._secret()], message_id, self._jobs.clock.now(), body))

    def refusal(self, status_code: int, detail: str) -> Body:
        title = {401: "Unauthenticated", 422: "Input validation failed"}.get(status_code)
        return ({"title": title} if title else {}) | {"detail": detail, "status": status_code}

    async def _create(self, request: Request) -> tuple[SandboxJob, Body]:
        body = await read_object(request)
        if unknown := [name for name in body if name not in _MEMBERS]:
            raise HTTPException(422, f"Additional property {unknown[0]} is not allowed")
        if not isinstance(job_input := body.get("input"), dict):
            raise HTTPException(422, "input is required")
        kind = request.path_params.get("kind", "").removeprefix("models/") or body.get("version")
        if not isinstance(kind, str):
            raise HTTPException(422, "version is required")
        if not isinstance(body.get("webhook"), str | None):
            raise HTTPException(422, "webhook must be a string")
        job = self._jobs.make(kind, job_input, body.get("webhook"))
        return job, _prediction(job, self._jobs.state(job))

    async def _read(self, request: Request) -> Response:
        job = self.begin_status(request.path_params["id"])
        return JSONResponse(_prediction(job, self._jobs.state(job)))

    async def _list(self, request: Request) -> Response:
        """List predictions with their webhooks, newest first; `cursor` is the number to skip."""
        query = dict(request.query_params)
        try:
            skipped = int(query.get("cursor", 0))
            after, before = (
                datetime.fromisoformat(query[name]).astimezone() if name in query else None
                for name in ("created_after", "created_before")
            )
        except ValueError:
            raise HTTPException(400, "Bad request") from None
        found = [
            {**_prediction(job, self._jobs.state(job)), "webhook": job.record.webhook_url}
            for job in reversed(self._jobs.by_id.values())
            if (after is None or after <= _created_at(job))
            and (before is None or _created_at(job) < before)
        ]
        more = len(found) > skipped + _PAGE
        following = request.url.include_query_params(cursor=skipped + _PAGE)
        return JSONResponse(
            {
                "previous": None,
                "next": str(following) if more else None,
                "results": found[skipped : skipped + _PAGE],
            }
        )

    async def _cancel(self, request: Request) -> Response:
        job = self.find(request.path_params["id"])
        self._jobs.cancel(job)
        return JSONResponse(_prediction(job, self._jobs.state(job)))

    async def _show_secret(self, _request: Request) -> Response:
        return JSONResponse({"key": self._secret()})

    def _secret(self) -> str:
        return new_secret(self._jobs.faults.signing_seed()[:24])


def _created_at(job: SandboxJob) -> datetime:
    return datetime.fromtimestamp(job.record.created_at / 1_000, UTC)


def _prediction(job: SandboxJob, state: JobState) -> dict[str, Any]:
    return {
        "id": job.request_id,
        "created_at": _created_at(job).isoformat(),
        "model": job.record.kind,
        "version": "hidden",
        "status": _STATUSES[state.status],
        "input": job.record.input,
        "output": None if state.link is None else [state.link],
        "error": state.failure,
        "urls": dict.fromkeys(("get", "cancel", "web"), f"/v1/predictions/{job.request_id}"),
    }
