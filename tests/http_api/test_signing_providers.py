"""Jobs at providers that sign: verified callbacks count at once, everything else is a claim."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.http_api.accepted_job import AcceptedJob
from tests.providers.conformance.subjects import (
    KEY,
    PRIVATE_KEY,
    WHSEC,
    jwks,
    sign_fal,
    sign_replicate,
)
from tests.providers.faulty_server import faulty_server, stay_silent
from tests.providers.path_server import PathServer, path_server
from tests.support.service import (
    RunningService,
    eventually,
    metric,
    running_service,
    submit,
    wait_for_job,
    wait_for_length,
)

REPLICATE = {"provider": "replicate", "kind": "owner/name", "input": {"prompt": "A heron"}}
FAL = {"provider": "fal", "kind": "fal-ai/flux/dev", "input": {"prompt": "A heron"}}
CREATE = "POST /v1/models/owner/name/predictions"
QUEUE = "POST /fal-ai/flux/dev"
SEED = 17454220438242315174
LINK = "https://a.example/1.png"
EACH = pytest.mark.parametrize("order", [REPLICATE, FAL], ids=["replicate", "fal"])
IDS = (f"up-{number}" for number in itertools.count())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[PathServer]:
    """A server for Replicate and fal, for all tests of this file."""
    keys = {
        "GET /v1/webhooks/default/secret": (200, {"key": WHSEC}),
        "GET /.well-known/jwks.json": (200, jwks(PRIVATE_KEY)),
    }
    async with path_server(keys) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def signing_service(
    upstream: PathServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningService]:
    """A service whose providers are Replicate and fal."""
    async with running_service(
        tmp_path_factory.mktemp("signing"),
        provider="replicate",
        providers="fal",
        replicate_api_token=KEY,
        replicate_base_url=f"{upstream.origin}/v1/",
        fal_key=KEY,
        fal_base_url=upstream.origin,
        fal_jwks_url=f"{upstream.origin}/.well-known/jwks.json",
        poll_first=60,
        poll_min=60,
    ) as service:
        # The keys are fetched in the background after the start.
        await wait_for_length(upstream.calls, 2, "both questions")
        yield service


class SignedJob(AcceptedJob):
    """A job that its provider has accepted; its callbacks are signed."""

    def __init__(
        self, client: httpx.AsyncClient, upstream: PathServer, job: dict[str, Any]
    ) -> None:
        self.upstream = upstream
        self.name = str(job["provider_request_id"])
        self.is_fal = job["provider"] == "fal"
        call = upstream.call(QUEUE if self.is_fal else CREATE)
        url = call.query["fal_webhook"] if self.is_fal else call.json["webhook"]
        super().__init__(client, job["request_id"], httpx.URL(url).path)

    async def call_back(
        self, body: Any, *, signed: bool = True, ago: int = 0, **headers: str
    ) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        if signed:
            sign = sign_fal if self.is_fal else sign_replicate
            headers = sign(content, int(time.time()) - ago) | headers
        return await self.client.post(self.callback_url, content=content, headers=headers)

    def success(self, output: Any = LINK) -> dict[str, Any]:
        """The body of a callback for its outcome."""
        if self.is_fal:
            payload = {"images": [{"url": output}], "seed": SEED}
            return {"request_id": self.name, "status": "OK", "payload": payload}
        return {"id": self.name, "status": "succeeded", "output": output}

    def status_calls(self) -> int:
        path = "/fal-ai/flux/requests" if self.is_fal else "/v1/predictions"
        return len(self.upstream.asked(f"GET {path}/{self.name}"))


async def create_signed_job(
    service: RunningService, upstream: PathServer, order: dict[str, Any]
) -> SignedJob:
    name = next(IDS)
    upstream.answers[CREATE] = (201, {"id": name, "status": "starting"})
    upstream.answers[QUEUE] = (200, {"request_id": name})
    client = await service.user()
    request_id = (await submit(client, **order))["request_id"]
    job = await wait_for_job(client, request_id, phase="accepted")
    return SignedJob(client, upstream, job)


@EACH
async def test_a_verified_outcome_needs_no_status_call(
    signing_service: RunningService, upstream: PathServer, order: dict[str, Any]
) -> None:
    job = await create_signed_job(signing_service, upstream, order)
    labels = f'provider="{order["provider"]}",verdict="accepted",verified="true"'
    before = await metric(signing_service, f"receiver_callbacks_total{{{labels}}}")
    assert (await job.call_back(job.success())).status_code == 200
    finished = await job.wait_for(status="COMPLETED", evidence="callback")
    (line,) = await job.wait_for_verdicts("applied")
    assert (line["verified"], line["confirmed"]) == (True, None)
    assert job.status_calls() == 0
    assert await metric(signing_service, f"receiver_callbacks_total{{{labels}}}") == before + 1
    assert finished["result"] == (
        {"images": [{"url": LINK}], "seed": SEED} if job.is_fal else {"output": LINK}
    )
    answer = await job.client.get(f"{job.path}/result")
    assert (answer.status_code, answer.headers["location"]) == (302, LINK)


@EACH
async def test_a_stale_signature_makes_a_claim(
    signing_service: RunningService, upstream: PathServer, order: dict[str, Any]
) -> None:
    job = await create_signed_job(signing_service, upstream, order)
    assert (await job.call_back(job.success(), ago=400)).status_code == 200
    (line,) = await job.callbacks()
    assert (line["verdict"], line["verified"]) == ("claimed", False)
    await job.wait_for(phase="confirming")


@EACH
async def test_the_order_of_the_checks(
    signing_service: RunningService, upstream: PathServer, order: dict[str, Any]
) -> None:
    job = await create_signed_job(signing_service, upstream, order)
    huge = b" " * (signing_service.inner.context.settings.max_body_bytes + 1)
    bad = "bad_signature"
    signature = "x-fal-webhook-signature" if job.is_fal else "webhook-signature"
    stamp = signature.replace("signature", "timestamp")
    cases: list[tuple[Any, int, str, dict[str, Any]]] = [
        (b"{}", 401, bad, {"signed": False}),
        (b"{}", 401, bad, {signature: "garbage"}),
        (b"{}", 401, bad, {stamp: "soon"}),
        (huge, 401, bad, {"signed": False}),
        (huge, 401, bad, {stamp: "soon"}),
        (huge, 413, "body_too_large", {}),
        (b"[", 400, "invalid_json", {}),
        (b"[", 401, bad, {"signed": False}),
        ({"id": "another", "request_id": "another", "status": "OK"}, 409, "id_conflict", {}),
    ]
    for body, status, code, named in cases:
        answer = await job.call_back(body, **named)
        assert (answer.status_code, answer.json()["code"]) == (status, code), named
    assert [line["verdict"] for line in await job.callbacks()] == ["rejected", "conflict"]
    job.callback_url = job.callback_url[:-1]
    assert (await job.call_back(b"{}", signed=False)).json()["code"] == "bad_token"


async def test_a_large_result_is_kept_whole_beside_the_job_and_read_alone(
    signing_service: RunningService, upstream: PathServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await create_signed_job(signing_service, upstream, REPLICATE)
    whole = [{"seed": SEED, "text": "x" * 1_000}] * 200
    await job.call_back(job.success(whole))
    finished = await job.wait_for(status="COMPLETED")
    assert finished["result"] == {"truncated": True}

    read, reading = signing_service.store.jobs.result_of, asyncio.Lock()

    async def alone(job_id: str) -> Any:
        assert not reading.locked()
        async with reading:
            return await read(job_id)

    monkeypatch.setattr(signing_service.store.jobs, "result_of", alone)
    answers = await asyncio.gather(*(job.client.get(f"{job.path}/result") for _ in range(3)))
    assert [each.json() for each in answers] == [{"output": whole}] * 3


async def test_a_provider_that_hangs_delays_no_start(tmp_path: Path) -> None:
    """It is asked for its secret at the start, in the background."""
    began = time.monotonic()
    async with (
        faulty_server(stay_silent) as silent,
        running_service(
            tmp_path,
            provider="replicate",
            replicate_api_token=KEY,
            replicate_base_url=silent.url,
        ) as service,
    ):
        assert (await service.client().get("/readyz")).status_code == 200
        assert time.monotonic() - began < 5.0
        await eventually(lambda: asyncio.sleep(0, silent.connections), bool)
