"""Results of providers that sign: complete, fetched by a call, or gone."""

import asyncio
from typing import Any

import pytest

from tests.http_api.signed_job import FAL, REPLICATE, SEED, create_signed_job, success_body
from tests.providers.path_server import PathServer
from tests.support.service import RunningService


async def test_ok_without_a_payload_has_its_result_asked_for_at_once(
    signing_service: RunningService, upstream: PathServer
) -> None:
    signed_job = await create_signed_job(signing_service, upstream, FAL)
    upstream.answers[signed_job.status_path] = (200, {"status": "IN_PROGRESS"})
    upstream.answers[signed_job.status_path.removesuffix("/status")] = (200, {"seed": SEED})
    body = {
        "request_id": signed_job.name,
        "status": "OK",
        "payload": None,
        "payload_error": "large",
    }
    await signed_job.call_back(body)
    job = await signed_job.wait_for(status="COMPLETED")
    assert (job["result"], signed_job.status_calls()) == ({"seed": SEED}, 0)
    assert f'"seed":{SEED}' in (await signed_job.client.get(signed_job.path)).text


async def test_a_large_result_is_kept_whole_beside_the_job_and_read_alone(
    signing_service: RunningService, upstream: PathServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_job = await create_signed_job(signing_service, upstream, REPLICATE)
    whole = [{"seed": SEED, "text": "x" * 1_000}] * 200
    await signed_job.call_back(success_body(signed_job, whole))
    job = await signed_job.wait_for(status="COMPLETED")
    assert job["result"] == {"truncated": True}
    answer = await signed_job.client.get(f"{signed_job.path}/result")
    assert (answer.status_code, answer.json()) == (200, {"output": whole})

    read, reading = signing_service.store.jobs.whole_result_of, asyncio.Lock()

    async def alone(job_id: str) -> Any:
        assert not reading.locked()
        async with reading:
            return await read(job_id)

    monkeypatch.setattr(signing_service.store.jobs, "whole_result_of", alone)
    result = f"{signed_job.path}/result"
    answers = await asyncio.gather(*(signed_job.client.get(result) for _ in range(3)))
    assert {answer.status_code for answer in answers} == {200}
