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

from receiver.clock import Clock
from receiver.sandbox.api import Body, Engine, read_object, read_webhook_url
from receiver.sandbox.faults import FaultPlan
from receiver.sandbox.jobs import Callback, JobState, SandboxJob

_SEED = 17454220438242315174
"""From a real answer: too large for a signed 64-bit integer and for a JavaScript number."""
_USER = "sandbox-user"
_NOT_FOUND = "Request not found"


class FalApi:
    """`receiver.sandbox.api.SandboxApi` for fal."""

    path = "/"

    def routes(self, engine: Engine) -> Sequence[Route]:
        calls = _Calls(engine)
        request = "/{endpoint:path}/requests/{id}"
        return [
            Route("/.well-known/jwks.json", calls.jwks),
            Route(f"{request}/status", calls.status),
            Route(f"{request}/cancel", calls.cancel, methods=["PUT"]),
            Route(request, calls.response),
            Route("/{endpoint:path}", calls.submit, methods=["POST"]),
        ]

    def callback(
        self, job: SandboxJob, state: JobState, faults: FaultPlan, clock: Clock
    ) -> Callback | None:
        if not state.is_over:
            return None
        said: dict[str, Any] = {"status": "OK", "error": None, "payload": _output(job, state)}
        if (error := _error(state)) is not None:
            said = {"status": "ERROR", **error, "payload": {"detail": error["error"]}}
        body = json.dumps(
            {"request_id": job.request_id, "gateway_request_id": job.request_id, **said}
        ).encode()
        signed = [job.request_id, _USER, str(clock.now() // 1_000)]
        message = "\n".join([*signed, hashlib.sha256(body).hexdigest()])
        names = ("request-id", "user-id", "timestamp", "signature")
        values = (*signed, _private_key(faults).sign(message.encode()).hex())
        headers = {
            f"x-fal-webhook-{name}": value for name, value in zip(names, values, strict=True)
        }
        return Callback(body, headers)

    def refusal(self, status_code: int, detail: str) -> Body:
        return {"detail": detail}


class _Calls:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def submit(self, request: Request) -> Response:
        self._authenticate(request)
        self._engine.begin_submission()
        kind = request.path_params["endpoint"]
        job_input = await read_object(request)
        webhook_url = read_webhook_url(request.query_params.get("fal_webhook"))
        job = self._engine.jobs.make(kind, job_input, webhook_url)
        owner_and_alias = "/".join(kind.split("/")[:2])
        origin = self._engine.jobs.links.base_url
        response_url = f"{origin}/{owner_and_alias}/requests/{job.request_id}"
        answer = {
            "request_id": job.request_id,
            "response_url": response_url,
            "status_url": f"{response_url}/status",
            "cancel_url": f"{response_url}/cancel",
            "queue_position": 0,
        }
        return await self._engine.end_submission(job, request, answer)

    async def status(self, request: Request) -> Response:
        self._authenticate(request)
        job = self._engine.begin_status(request.path_params["id"], _NOT_FOUND)
        state = self._engine.jobs.state(job)
        if state.is_over:
            error = _error(state) or {}
            return JSONResponse({"status": "COMPLETED", "logs": [], "metrics": {}, **error})
        if state.progress is None:
            return JSONResponse({"status": "IN_QUEUE", "queue_position": 0}, 202)
        return JSONResponse({"status": "IN_PROGRESS", "logs": []}, 202)

    async def response(self, request: Request) -> Response:
        job = self._find(request)
        state = self._engine.jobs.state(job)
        if not state.is_over:
            raise HTTPException(400, "Request is still in progress")
        if (error := _error(state)) is not None:
            return JSONResponse({"detail": error["error"], **error}, 500)
        return JSONResponse(_output(job, state))

    async def cancel(self, request: Request) -> Response:
        job = self._find(request)
        if self._engine.jobs.state(job).is_over:
            return JSONResponse({"status": "ALREADY_COMPLETED"}, 400)
        self._engine.jobs.cancel(job)
        return JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202)

    async def jwks(self, _request: Request) -> Response:
        raw = _private_key(self._engine.faults).public_key().public_bytes_raw()
        key = {"kty": "OKP", "crv": "Ed25519", "x": urlsafe_b64encode(raw).decode().rstrip("=")}
        return JSONResponse({"keys": [key]})

    def _find(self, request: Request) -> SandboxJob:
        self._authenticate(request)
        return self._engine.find(request.path_params["id"], _NOT_FOUND)

    def _authenticate(self, request: Request) -> None:
        if not self._engine.takes_authorization(request, "key"):
            raise HTTPException(401, "Cannot access application. Authentication is required.")


def _private_key(faults: FaultPlan) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(faults.signing_seed())


def _error(state: JobState) -> dict[str, str] | None:
    if state.is_cancelled:
        return {"error": "Request was cancelled.", "error_type": "client_cancelled"}
    if state.failure is not None:
        return {"error": state.failure, "error_type": "internal_error"}
    return None


def _output(job: SandboxJob, state: JobState) -> dict[str, Any]:
    video = {"url": state.link, "content_type": "video/webm"}
    return {"video": video, "seed": _SEED, "prompt": str(job.record.input.get("prompt", ""))}
