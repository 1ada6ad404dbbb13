"""The part of fal's queue API that a service in front of it uses, with signed webhooks."""

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from receiver.dialects import fal
from receiver.dialects.contract import Body, JobView, Submission
from receiver.providers.registry import SANDBOX_PATHS
from receiver.sandbox.api import Calls, SandboxApi
from receiver.sandbox.jobs import Callback
from store.records.times import Millis

_SEED = 17454220438242315174
"""From a real answer: too large for a signed 64-bit integer and for a JavaScript number."""
_USER = "sandbox-user"


class FalApi(SandboxApi):
    path = SANDBOX_PATHS["fal"]
    schemes = ("key",)

    def __init__(self, api_key: str | None = None) -> None:
        super().__init__(api_key)
        self._private_key = Ed25519PrivateKey.generate()

    def routes(self, calls: Calls) -> Sequence[Route]:
        def accepted(job: JobView) -> Body:
            return fal.accepted(job, calls.base_url)

        async def status(request: Request) -> Response:
            return _response(fal.status(calls.asked(request.path_params["id"])))

        async def response(request: Request) -> Response:
            job = calls.find(request.path_params["id"])
            return _response(fal.response(calls.jobs.view(job)))

        async def cancel(request: Request) -> Response:
            job = calls.find(request.path_params["id"])
            before = calls.jobs.view(job)
            calls.jobs.cancel(job)
            return _response(fal.cancellation(before))

        request = "/{endpoint:path}/requests/{id}"
        return [
            Route("/.well-known/jwks.json", self._keys),
            calls.call("GET", f"{request}/status", status),
            calls.call("PUT", f"{request}/cancel", cancel),
            calls.call("GET", request, response),
            calls.submission("/{endpoint:path}", _read, accepted),
        ]

    def output(self, job_input: Mapping[str, Any], link: str) -> Any:
        video = {"url": link, "content_type": "video/webm"}
        return {"video": video, "seed": _SEED, "prompt": str(job_input.get("prompt", ""))}

    def callback(self, job: JobView, now: Millis) -> Callback | None:
        if not job.is_final:
            return None
        body = json.dumps(fal.webhook(job)).encode()
        signed = [job.id, _USER, str(now // 1_000)]
        message = "\n".join([*signed, hashlib.sha256(body).hexdigest()])
        names = ("request-id", "user-id", "timestamp", "signature")
        values = (*signed, self._private_key.sign(message.encode()).hex())
        headers = {f"x-fal-webhook-{name}": each for name, each in zip(names, values, strict=True)}
        return Callback(body, headers)

    def error(self, status_code: int, detail: str) -> Body:
        return fal.error(detail)

    async def _keys(self, _request: Request) -> Response:
        raw = self._private_key.public_key().public_bytes_raw()
        key = {"kty": "OKP", "crv": "Ed25519", "x": urlsafe_b64encode(raw).decode().rstrip("=")}
        return JSONResponse({"keys": [key]})


def _read(request: Request, body: Body) -> Submission:
    webhook_url = request.query_params.get("fal_webhook")
    return Submission(request.path_params["endpoint"], body, webhook_url)


def _response(answer: tuple[int, Body]) -> Response:
    status_code, body = answer
    return JSONResponse(body, status_code)
