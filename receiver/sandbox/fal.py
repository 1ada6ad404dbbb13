"""The part of fal's queue API that a service in front of it uses, with signed webhooks."""

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from receiver.sandbox.api import Body, SandboxApi, read_object
from receiver.sandbox.jobs import Callback, JobState, SandboxJob
from store.records.jobs import Status

_SEED = 17454220438242315174
"""From a real answer: too large for a signed 64-bit integer and for a JavaScript number."""
_USER = "sandbox-user"


class FalApi(SandboxApi):
    schemes = ("key",)

    def routes(self) -> Sequence[Route]:
        request = "/{endpoint:path}/requests/{id}"
        return [
            Route("/.well-known/jwks.json", self._jwks),
            self.call("GET", f"{request}/status", self._status),
            self.call("PUT", f"{request}/cancel", self._cancel),
            self.call("GET", request, self._response),
            self.submission("/{endpoint:path}", self._submit),
        ]

    def callback(self, job: SandboxJob, state: JobState) -> Callback | None:
        if not state.is_final:
            return None
        said: dict[str, Any] = {"status": "OK", "error": None, "payload": _output(job, state)}
        if (error := _error(state)) is not None:
            said = {"status": "ERROR", **error, "payload": {"detail": error["error"]}}
        body = json.dumps(
            {"request_id": job.request_id, "gateway_request_id": job.request_id, **said}
        ).encode()
        signed = [job.request_id, _USER, str(self._jobs.clock.now() // 1_000)]
        message = "\n".join([*signed, hashlib.sha256(body).hexdigest()])
        names = ("request-id", "user-id", "timestamp", "signature")
        values = (*signed, self._private_key().sign(message.encode()).hex())
        headers = {f"x-fal-webhook-{name}": each for name, each in zip(names, values, strict=True)}
        return Callback(body, headers)

    def refusal(self, status_code: int, detail: str) -> Body:
        return {"detail": detail}

    async def _submit(self, request: Request) -> tuple[SandboxJob, Body]:
        kind = request.path_params["endpoint"]
        job_input = await read_object(request)
        job = self._jobs.make(kind, job_input, request.query_params.get("fal_webhook"))
        owner_and_alias = "/".join(kind.split("/")[:2])
        response_url = f"{self._jobs.origin}/{owner_and_alias}/requests/{job.request_id}"
        return job, {
            "request_id": job.request_id,
            "response_url": response_url,
            "status_url": f"{response_url}/status",
            "cancel_url": f"{response_url}/cancel",
            "queue_position": 0,
        }

    async def _status(self, request: Request) -> Response:
        job = self.begin_status(request.path_params["id"])
        state = self._jobs.state(job)
        if state.is_final:
            error = _error(state) or {}
            return JSONResponse({"status": "COMPLETED", "logs": [], "metrics": {}, **error})
        if state.status is Status.PENDING:
            return JSONResponse({"status": "IN_QUEUE", "queue_position": 0}, 202)
        return JSONResponse({"status": "IN_PROGRESS", "logs": []}, 202)

    async def _response(self, request: Request) -> Response:
        job = self.find(request.path_params["id"])
        state = self._jobs.state(job)
        if not state.is_final:
            raise HTTPException(400, "Request is still in progress")
        if (error := _error(state)) is not None:
            return JSONResponse({"detail": error["error"], **error}, 500)
        return JSONResponse(_output(job, state))

    async def _cancel(self, request: Request) -> Response:
        job = self.find(request.path_params["id"])
        if self._jobs.state(job).is_final:
            return JSONResponse({"status": "ALREADY_COMPLETED"}, 400)
        self._jobs.cancel(job)
        return JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202)

    async def _jwks(self, _request: Request) -> Response:
        raw = self._private_key().public_key().public_bytes_raw()
        key = {"kty": "OKP", "crv": "Ed25519", "x": urlsafe_b64encode(raw).decode().rstrip("=")}
        return JSONResponse({"keys": [key]})

    def _private_key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._jobs.faults.signing_seed())


def _error(state: JobState) -> dict[str, str] | None:
    if state.status is Status.CANCELLED:
        return {"error": "Request was cancelled.", "error_type": "client_cancelled"}
    if state.failure is not None:
        return {"error": state.failure, "error_type": "internal_error"}
    return None


def _output(job: SandboxJob, state: JobState) -> dict[str, Any]:
    video = {"url": state.link, "content_type": "video/webm"}
    return {"video": video, "seed": _SEED, "prompt": str(job.record.input.get("prompt", ""))}
