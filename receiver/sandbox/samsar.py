"""Samsar's HTTP API."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from receiver.clock import Clock
from receiver.json_text import UnreadableJson
from receiver.providers.lenient_json import read_json
from receiver.providers.samsar_input import KINDS, InputRules
from receiver.sandbox.api import Body, Engine, read_webhook_url
from receiver.sandbox.faults import FaultPlan
from receiver.sandbox.jobs import Callback, JobState, SandboxJob


class SamsarApi:
    """`receiver.sandbox.api.SandboxApi` for Samsar: unsigned callbacks, one at each step."""

    path = "/v1/video/"

    def __init__(self, input_rules: InputRules) -> None:
        """`input_rules` validate a job's `input`."""
        self._input_rules = input_rules

    def routes(self, engine: Engine) -> Sequence[Route]:
        submissions = [
            Route(f"{self.path}{kind}", self._submission(engine, kind), methods=["POST"])
            for kind in KINDS
        ]
        return [*submissions, Route(f"{self.path}status", self._status(engine))]

    def callback(
        self, job: SandboxJob, state: JobState, faults: FaultPlan, clock: Clock
    ) -> Callback:
        body = {"request_id": job.request_id, **_answer(state)}
        return Callback(json.dumps(body, separators=(",", ":")).encode(), {})

    def refusal(self, status_code: int, detail: str) -> Body:
        return {"message": detail}

    def _submission(self, engine: Engine, kind: str) -> Callable[[Request], Awaitable[Response]]:
        async def submit(request: Request) -> Response:
            _authenticate(engine, request.headers)
            engine.begin_submission()
            job_input, webhook_url = self._read_submission(kind, await request.body())
            job = engine.jobs.make(kind, job_input, webhook_url)
            return await engine.end_submission(job, request, {"request_id": job.request_id})

        return submit

    def _status(self, engine: Engine) -> Callable[[Request], Awaitable[Response]]:
        async def status(request: Request) -> Response:
            _authenticate(engine, request.headers)
            request_id = request.query_params.get("request_id")
            if not request_id:
                raise HTTPException(400, "taskId query parameter is missing.")
            job = engine.begin_status(request_id)
            return JSONResponse(_answer(engine.jobs.state(job)))

        return status

    def _read_submission(self, kind: str, raw: bytes) -> tuple[Mapping[str, Any], str | None]:
        try:
            body = read_json(raw)
        except UnreadableJson:
            raise HTTPException(400, "Body is not valid JSON") from None
        if not isinstance(body, dict) or not isinstance(job_input := body.get("input"), dict):
            raise HTTPException(400, "Input is required")
        checked = dict(job_input)
        if isinstance(prompts := checked.get("prompt_list"), str):
            # Like the provider, which treats a string as a list of its characters.
            checked["prompt_list"] = list(prompts)
        for fault in self._input_rules.faults(kind, checked):
            raise HTTPException(400, fault.detail)
        return job_input, read_webhook_url(body.get("webhookUrl"))


def _authenticate(engine: Engine, headers: Headers) -> None:
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    key = headers.get("API-KEY") or (token.strip() if scheme.lower() == "bearer" else "")
    if not key:
        raise HTTPException(400, "API-KEY is missing")
    if not engine.takes(key):
        raise HTTPException(401, "API-KEY is invalid")


def _answer(state: JobState) -> dict[str, Any]:
    """A job's state in the form of the provider's status answer."""
    if state.failure is not None:
        return {"status": "FAILED", "message": state.failure}
    if state.link is not None:
        return {
            "status": "COMPLETED",
            "progress": 100,
            "result": {"videoUrl": state.link},
            "message": "All done!",
        }
    if state.progress is None:
        return {"status": "PENDING", "message": "Waiting for a renderer."}
    return {"status": "IN_PROGRESS", "progress": state.progress, "message": "Processing..."}
