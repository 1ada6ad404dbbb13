"""A job that Replicate or fal has accepted; its callbacks are signed."""

import json
import time
from typing import Any

import httpx

from tests.http_api.accepted_job import AcceptedJob
from tests.providers.conformance.subjects import (
    KEY,
    PRIVATE_KEY,
    WHSEC,
    jwks,
    sign_fal,
    sign_replicate,
)
from tests.providers.path_server import PathServer
from tests.support.service import RunningService, submit, wait_for_job

REPLICATE = {"provider": "replicate", "kind": "owner/name", "input": {"prompt": "A heron"}}
FAL = {"provider": "fal", "kind": "fal-ai/flux/dev", "input": {"prompt": "A heron"}}
CREATE = "POST /v1/models/owner/name/predictions"
QUEUE = "POST /fal-ai/flux/dev"
SEED = 17454220438242315174


def signing_keys() -> dict[str, tuple[int, Any]]:
    """The answers of both providers to requests for their signing keys."""
    return {
        "GET /v1/webhooks/default/secret": (200, {"key": WHSEC}),
        "GET /.well-known/jwks.json": (200, jwks(PRIVATE_KEY)),
    }


def settings_of(upstream: PathServer) -> dict[str, Any]:
    return {
        "provider": "replicate",
        "providers": "fal",
        "replicate_api_token": KEY,
        "replicate_base_url": f"{upstream.origin}/v1/",
        "fal_key": KEY,
        "fal_base_url": upstream.origin,
        "fal_jwks_url": f"{upstream.origin}/.well-known/jwks.json",
        "poll_first": 60,
        "poll_min": 60,
        "poll_max": 120,
    }


class SignedJob(AcceptedJob):
    """A job that its provider has accepted; its callbacks are signed."""

    _ids = iter(range(10**6))

    def __init__(
        self, client: httpx.AsyncClient, upstream: PathServer, job: dict[str, Any]
    ) -> None:
        self.upstream = upstream
        self.name = str(job["provider_request_id"])
        self.provider = str(job["provider"])
        call = upstream.call(CREATE if self.provider == "replicate" else QUEUE)
        url = call.query["fal_webhook"] if self.provider == "fal" else call.json["webhook"]
        super().__init__(client, job["request_id"], httpx.URL(url).path)

    @property
    def status_path(self) -> str:
        if self.provider == "replicate":
            return f"GET /v1/predictions/{self.name}"
        return f"GET /fal-ai/flux/requests/{self.name}/status"

    async def call_back(
        self, body: Any, *, signed: bool = True, ago: int = 0, **headers: str
    ) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        if signed:
            sign = sign_fal if self.provider == "fal" else sign_replicate
            headers = sign(content, int(time.time()) - ago) | headers
        return await self.client.post(self.callback_url, content=content, headers=headers)

    def status_calls(self) -> int:
        return len(self.upstream.asked(self.status_path))


async def create_signed_job(
    service: RunningService, upstream: PathServer, order: dict[str, Any]
) -> SignedJob:
    name = f"up-{next(SignedJob._ids)}"
    upstream.answers[CREATE] = (201, {"id": name, "status": "starting"})
    upstream.answers[QUEUE] = (200, {"request_id": name})
    client = await service.user()
    request_id = (await submit(client, **order))["request_id"]
    job = await wait_for_job(client, request_id, phase="accepted")
    return SignedJob(client, upstream, job)


def success_body(signed_job: SignedJob, output: Any = "https://a.example/1.png") -> dict[str, Any]:
    if signed_job.provider == "fal":
        payload = {"images": [{"url": output}], "seed": SEED}
        return {"request_id": signed_job.name, "status": "OK", "payload": payload}
    return {"id": signed_job.name, "status": "succeeded", "output": output}
