"""The part of fal's queue API that a service in front of it uses, with signed webhooks."""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from receiver.domain.prices import PriceList
from receiver.providers.fal import shape as fal
from receiver.providers.fal.settings import ENTRY
from receiver.simulator.api import SimulatorApi, json_answer
from receiver.simulator.jobs import SimulatedJob
from receiver.upstream.shapes import Body, JobView, Submission, encode
from store.records.jobs import Status
from store.records.times import Millis

_SEED = 17454220438242315174
"""From a real answer: too large for a signed 64-bit integer and for a JavaScript number."""
_FAILED: Final = 422
"""The status of a job that fails."""
_LOOK_SECONDS: Final = 0.1
"""How often a stream of a request's status looks for a change."""


class FalApi(SimulatorApi):
    name, measures = ENTRY.name, ENTRY.measures
    path = "/"
    schemes = ("key",)

    def __init__(self, api_key: str | None = None, prices: PriceList | None = None) -> None:
        super().__init__(api_key, prices)
        self._private_key = Ed25519PrivateKey.generate()

    def routes(self) -> Sequence[Route]:
        request = "/{endpoint:path}/requests/{id}"
        return [
            Route("/.well-known/jwks.json", self._keys),
            self.call("GET", f"{request}/status", self._status),
            self.call("GET", f"{request}/status/stream", self._stream),
            self.call("PUT", f"{request}/cancel", self._cancel),
            self.call("GET", request, self._response),
            self.submission("/{endpoint:path}", _read),
        ]

    def accepted(self, job: JobView) -> bytes:
        return encode(fal.accepted(job, self.base_url))

    def output(self, job_input: Mapping[str, Any], link: str) -> Any:
        video = {"url": link, "content_type": "video/webm"}
        return {"video": video, "seed": _SEED, "prompt": str(job_input.get("prompt", ""))}

    def webhook(self, job: JobView) -> bytes | None:
        if not job.is_final:
            return None
        message = fal.webhook(_explained(job))
        return fal.complete(message, job.output) if job.status is Status.COMPLETED else message

    def sign(self, job: JobView, body: bytes, now: Millis) -> Mapping[str, str]:
        signed = [job.id, "sandbox-user", str(now // 1_000)]
        message = "\n".join([*signed, hashlib.sha256(body).hexdigest()])
        names = ("request-id", "user-id", "timestamp", "signature")
        values = (*signed, self._private_key.sign(message.encode()).hex())
        return {f"x-fal-webhook-{name}": each for name, each in zip(names, values, strict=True)}

    def error(self, status_code: int, detail: str) -> Body:
        return fal.error(detail)

    async def _status(self, request: Request) -> Response:
        job = self.asked(request.path_params["id"])
        status_code, body = fal.status(_unexplained(job), self.base_url)
        return _answer(job.id, status_code, encode(body))

    async def _stream(self, request: Request) -> Response:
        events = self._events(self.find(request.path_params["id"]))
        return StreamingResponse(events, media_type="text/event-stream")

    async def _events(self, job: SimulatedJob) -> AsyncIterator[bytes]:
        last = b""
        while True:
            view = self.jobs.view(job)
            _, body = fal.status(_unexplained(view), self.base_url)
            if (event := b"data: %b\n\n" % encode(body)) != last:
                yield event
            if view.is_final:
                return
            last = event
            await self.jobs.clock.sleep(_LOOK_SECONDS)

    async def _response(self, request: Request) -> Response:
        job = self.jobs.view(self.find(request.path_params["id"]))
        answer = _answer(job.id, *fal.response(_explained(job)))
        for units in self.measured(job).values():
            answer.headers["x-fal-billable-units"] = str(units)
        return answer

    async def _cancel(self, request: Request) -> Response:
        job = self.find(request.path_params["id"])
        before = self.jobs.view(job)
        self.jobs.cancel(job)
        status_code, body = fal.cancellation(before)
        return _answer(job.id, status_code, encode(body))

    async def _keys(self, _request: Request) -> Response:
        raw = self._private_key.public_key().public_bytes_raw()
        key = {"kty": "OKP", "crv": "Ed25519", "x": urlsafe_b64encode(raw).decode().rstrip("=")}
        return JSONResponse({"keys": [key]})


def _read(request: Request, body: Body) -> Submission:
    webhook_url = request.query_params.get("fal_webhook")
    return Submission(request.path_params["endpoint"], body, webhook_url)


def _explained(job: JobView) -> JobView:
    """The job as its response shows it: with what was wrong, if it failed."""
    if job.status is not Status.FAILED:
        return job
    fault = {"loc": ["body", "prompt"], "msg": job.error, "type": "value_error"}
    return replace(job, details={"status_code": _FAILED, "detail": [fault]})


def _unexplained(job: JobView) -> JobView:
    """The job as its status shows it: that it failed, and not why."""
    failed = job.status is Status.FAILED
    return replace(job, error=f"Invalid status code: {_FAILED}") if failed else job


def _answer(job_id: str, status_code: int, content: bytes) -> Response:
    answer = json_answer(content, status_code)
    answer.headers["x-fal-request-id"] = job_id
    return answer
