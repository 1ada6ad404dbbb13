"""Samsar's HTTP API."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from receiver.providers.registry import SANDBOX_PATHS
from receiver.providers.samsar import KINDS, InputRules
from receiver.sandbox.api import Body, SandboxApi, read_object
from receiver.sandbox.jobs import Callback, Jobs, JobState, SandboxJob
from store.records.jobs import Status

_MESSAGES = {
    Status.PENDING: "Waiting for a renderer.",
    Status.IN_PROGRESS: "Processing...",
    Status.COMPLETED: "All done!",
}


class SamsarApi(SandboxApi):
    """Samsar's API; it sends unsigned callbacks, one at each step."""

    path = SANDBOX_PATHS["samsar"]
    """The base path: a client's base URL is the origin followed by this."""

    def __init__(self, jobs: Jobs, *, api_key: str | None = None, input_rules: InputRules) -> None:
        """`input_rules` validate a job's `input`."""
        super().__init__(jobs, api_key=api_key)
        self._input_rules = input_rules

    def routes(self) -> Sequence[Route]:
        return [
            *(self.submission(self.path + kind, self._submit) for kind in KINDS),
            self.call("GET", f"{self.path}status", self._status),
        ]

    def callback(self, job: SandboxJob, state: JobState) -> Callback:
        body = {"request_id": job.request_id, **_answer(state)}
        return Callback(json.dumps(body, separators=(",", ":")).encode(), {})

    def refusal(self, status_code: int, detail: str) -> Body:
        return {"message": detail}

    def authenticate(self, request: Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else ""
        key = request.headers.get("API-KEY") or bearer
        if not key:
            raise HTTPException(400, "API-KEY is missing")
        if not self.accepts(key):
            raise HTTPException(401, "API-KEY is invalid")

    async def _submit(self, request: Request) -> tuple[SandboxJob, Body]:
        kind = request.url.path.removeprefix(self.path)
        body = await read_object(request)
        job_input = self._check(kind, body.get("input"))
        webhook_url = body.get("webhookUrl")
        if not isinstance(webhook_url, str | None):
            raise HTTPException(400, "webhookUrl must be a string")
        job = self._jobs.make(kind, job_input, webhook_url)
        return job, {"request_id": job.request_id}

    async def _status(self, request: Request) -> Response:
        request_id = request.query_params.get("request_id")
        if not request_id:
            raise HTTPException(400, "taskId query parameter is missing.")
        job = self.begin_status(request_id)
        return JSONResponse(_answer(self._jobs.state(job)))

    def _check(self, kind: str, job_input: object) -> Mapping[str, Any]:
        if not isinstance(job_input, dict):
            raise HTTPException(400, "Input is required")
        checked = dict(job_input)
        if isinstance(prompts := checked.get("prompt_list"), str):
            # Like the provider, which treats a string as a list of its characters.
            checked["prompt_list"] = list(prompts)
        for fault in self._input_rules.faults(kind, checked):
            raise HTTPException(400, fault.detail)
        return job_input


def _answer(state: JobState) -> dict[str, Any]:
    """A job's state in the form of the provider's status answer."""
    answer = {
        "status": state.status,
        "progress": state.progress,
        "result": state.link and {"videoUrl": state.link},
        "message": state.failure or _MESSAGES[state.status],
    }
    return {name: value for name, value in answer.items() if value is not None}
