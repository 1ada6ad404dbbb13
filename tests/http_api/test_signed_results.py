"""Results of providers that sign: complete, fetched by a call, or gone."""

import asyncio
from typing import Any

import pytest

from tests.http_api.conftest import SHARED_LOOP
from tests.http_api.signed_job import FAL, REPLICATE, SEED, succeeded, take
from tests.providers.path_server import PathServer
from tests.support.service import RunningService

pytestmark = SHARED_LOOP


async def test_ok_without_a_payload_has_its_result_asked_for_at_once(
    signing: RunningService, upstream: PathServer
) -> None:
    taken = await take(signing, upstream, FAL)
    upstream.answers[taken.status_path] = (200, {"status": "IN_PROGRESS"})
    upstream.answers[taken.status_path.removesuffix("/status")] = (200, {"seed": SEED})
    body = {"request_id": taken.name, "status": "OK", "payload": None, "payload_error": "large"}
    await taken.call_back(body)
    job = await taken.when(status="COMPLETED")
    assert (job["result"], taken.status_calls()) == ({"seed": SEED}, 0)
    assert f'"seed":{SEED}' in (await taken.client.get(taken.path)).text


async def test_a_result_that_is_gone(signing: RunningService, upstream: PathServer) -> None:
    taken = await take(signing, upstream, REPLICATE)
    gone = {"id": taken.name, "status": "succeeded", "output": None, "data_removed": True}
    upstream.answers[taken.status_path] = (200, gone)
    await taken.call_back(succeeded(taken), ago=400)
    job = await taken.when(status="FAILED")
    assert (job["error"]["code"], job["result"]) == ("result_missing", None)
    assert (await taken.client.get(f"{taken.path}/result")).status_code == 409


async def test_a_large_result_is_kept_whole_beside_the_job_and_read_alone(
    signing: RunningService, upstream: PathServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = await take(signing, upstream, REPLICATE)
    whole = [{"seed": SEED, "text": "x" * 1_000}] * 200
    await taken.call_back(succeeded(taken, whole))
    job = await taken.when(status="COMPLETED")
    shown = job["result"]["output"]
    assert job["result"]["truncated"] is True
    assert 50 < len(shown) < 200
    assert whole[: len(shown) - 1] == shown[:-1]
    answer = await taken.client.get(f"{taken.path}/result")
    assert (answer.status_code, answer.json()) == (200, {"output": whole})

    running = 0
    read = signing.store.jobs.whole_result_of

    async def alone(job_id: str) -> Any:
        nonlocal running
        running += 1
        found = await read(job_id)
        assert running == 1
        running -= 1
        return found

    monkeypatch.setattr(signing.store.jobs, "whole_result_of", alone)
    result = f"{taken.path}/result"
    answers = await asyncio.gather(*(taken.client.get(result) for _ in range(3)))
    assert {answer.status_code for answer in answers} == {200}
