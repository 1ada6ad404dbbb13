"""The part of Replicate's API that a service in front of it uses, with signed webhooks."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from receiver.dialects import replicate
from receiver.dialects.contract import Body, JobView, Submission
from receiver.providers.registry import SANDBOX_PATHS
from receiver.sandbox.api import Calls, SandboxApi
from receiver.sandbox.jobs import Callback
from receiver.webhooks.signing import new_secret, sign
from store.records.times import Millis

_STARTED = 25
"""The progress at which the `start` webhook is sent."""


class ReplicateApi(SandboxApi):
    path = SANDBOX_PATHS["replicate"]
    schemes = ("bearer", "token")

    def __init__(self, api_key: str | None = None) -> None:
        super().__init__(api_key)
        self._secret = new_secret(os.urandom(24))

    def routes(self, calls: Calls) -> Sequence[Route]:
        def rendered(job: JobView) -> Body:
            return replicate.prediction(job, calls.base_url)

        async def show(request: Request) -> Response:
            return JSONResponse(rendered(calls.asked(request.path_params["id"])))

        async def cancel(request: Request) -> Response:
            job = calls.find(request.path_params["id"])
            calls.jobs.cancel(job)
            return JSONResponse(rendered(calls.jobs.view(job)))

        async def secret(_request: Request) -> Response:
            return JSONResponse({"key": self._secret})

        return [
            calls.submission("/v1/predictions", _read, rendered, 201),
            calls.call("GET", "/v1/predictions/{id}", show),
            calls.call("POST", "/v1/predictions/{id}/cancel", cancel),
            calls.call("GET", "/v1/webhooks/default/secret", secret),
            calls.submission("/v1/{kind:path}/predictions", _read, rendered, 201),
        ]

    def output(self, job_input: Mapping[str, Any], link: str) -> Any:
        return [link]

    def callback(self, job: JobView, now: Millis) -> Callback | None:
        if not job.is_final and job.progress != _STARTED:
            return None
        body = json.dumps(replicate.prediction(job, self.path), separators=(",", ":")).encode()
        message_id = f"msg_{job.id}_{'completed' if job.is_final else 'start'}"
        return Callback(body, sign([self._secret], message_id, now, body))

    def error(self, status_code: int, detail: str) -> Body:
        return replicate.error(status_code, detail)


def _read(request: Request, body: Body) -> Submission:
    kind: str | None = request.path_params.get("kind")
    return replicate.read_submission(kind and kind.removeprefix("models/"), body)
