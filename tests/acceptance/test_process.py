"""The whole process: killed repeatedly (tests/crash kills it at worse moments), and served from a
snapshot of its disk."""

import asyncio
import os
import shutil
import signal
import time
from functools import partial
from pathlib import Path

import httpx

from tests.crash.processes import Service, caller
from tests.http_api.scripted_provider import COMPLETED, ScriptedProvider
from tests.support.service import JOB, eventually, job_of, wait_for_length

ROUNDS, JOBS = 3, 20
SETTLED = {"COMPLETED", "submit_unconfirmed"}


async def test_a_kill_loses_nothing_acknowledged_and_pays_nothing_twice(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    given = provider.settings() | {"poll_first": 0.1, "poll_min": 0.1, "poll_max": 0.5}
    settings = {name.upper(): str(value) for name, value in given.items()}
    acknowledged: list[str] = []

    async def submit_until_killed(client: httpx.AsyncClient, worker: int) -> None:
        for n in range(10_000):
            prompt = f"{time.monotonic()}/{worker}/{n}"
            body = JOB | {"input": JOB["input"] | {"prompt": prompt}}
            try:
                answer = await client.post("/v1/jobs", json=body)
            except httpx.TransportError:
                return
            assert answer.status_code == 202
            acknowledged.append(answer.json()["request_id"])

    async with (
        Service(tmp_path, settings) as service,
        caller(service, (await service.make_key())["key"]) as client,
    ):
        for round_ in range(ROUNDS):
            await service.start()
            workers = [asyncio.create_task(submit_until_killed(client, n)) for n in range(4)]
            await wait_for_length(acknowledged, JOBS * (round_ + 1), "acknowledged jobs")
            await service.kill()
            await asyncio.gather(*workers)

        provider.states.clear()
        provider.states.default_factory = lambda: COMPLETED
        await service.start()
        for request_id in acknowledged:
            job = await eventually(
                partial(job_of, client, request_id),
                lambda job: bool({job["status"], job["phase"]} & SETTLED),
            )
            assert job["done"] or job["provider_request_id"] is None
    sent = [submission.body["input"]["prompt"] for submission in provider.submissions]
    assert len(sent) == len(set(sent)), "a job was submitted more than once"


async def test_a_restored_snapshot_of_the_disk_pays_for_nothing_again(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    given = provider.settings() | {"submit_concurrency": 1}
    settings = {name.upper(): str(value) for name, value in given.items()}
    disk, snapshot = tmp_path / "disk", tmp_path / "snapshot"
    disk.mkdir()
    release = provider.hold_submissions()
    async with (
        Service(disk, settings) as service,
        caller(service, (await service.make_key())["key"]) as client,
    ):
        await service.start()
        jobs = [(await client.post("/v1/jobs", json=JOB)).json()["request_id"] for _ in range(3)]
        await provider.submitted()
        os.kill(service.pid, signal.SIGSTOP)  # a volume is snapshotted at one moment
        shutil.copytree(disk, snapshot)
        os.kill(service.pid, signal.SIGCONT)
        release.set()
        await provider.submitted(len(jobs))
        await service.kill()

        shutil.rmtree(disk)
        snapshot.rename(disk)
        service.options = ("--restored",)
        await service.start()

        assert {(await job_of(client, job))["phase"] for job in jobs} == {"submit_unconfirmed"}
        new = (await client.post("/v1/jobs", json=JOB)).json()["request_id"]
        await eventually(partial(job_of, client, new), lambda job: job["phase"] == "accepted")
    assert len(provider.submissions) == len(jobs) + 1
