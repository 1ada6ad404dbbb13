"""SIGKILL during downloads: no partial file is ever visible, and finally every file is stored."""

import asyncio
import hashlib
import random
from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver.archive.folder import PARTIAL
from tests.archive.file_host import Answer, FileHost, file_host, file_of
from tests.crash.processes import Service, caller
from tests.http_api.scripted_provider import ScriptedProvider, call_back, scripted_provider
from tests.support.service import JOB, eventually, job_of

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

ROUNDS = 50
JOBS = 60
FILES = 3


def settings(provider: ScriptedProvider, folder: Path) -> dict[str, str]:
    return {
        "PROVIDER": "samsar",
        "SAMSAR_BASE_URL": provider.base_url,
        "SAMSAR_API_KEY": "operator",
        "CONFIRM_CALLBACKS": "false",
        "ARCHIVE_URL": f"file://{folder}/kept",
        "RELAY_ALLOW_HTTP": "true",
        "RELAY_ALLOW_NETS": "127.0.0.0/8",
    }


def files_of(job: int) -> list[bytes]:
    return [file_of(200_000 + 300_000 * n, seed=job * FILES + n) for n in range(FILES)]


def result_of(job: int, host: FileHost, rng: random.Random) -> dict[str, Any]:
    """A result of slow files, of which some are cut."""
    links = []
    for n, body in enumerate(files_of(job)):
        cuts = [rng.randrange(len(body))] if rng.random() < 0.3 else []
        answer = Answer(body, headers={"Content-Type": "video/mp4"}, cuts=cuts, pause=0.03)
        links.append(host.link(f"/{job}/{n}", answer))
    return {"videoUrl": links[0], "more": links[1:]}


async def test_fifty_kills_during_downloads_show_no_partial_file(tmp_path: Path) -> None:
    seed = random.SystemRandom().getrandbits(32)
    rng = random.Random(seed)
    print(f"\nseed {seed}")
    kept = tmp_path / "kept"
    async with (
        scripted_provider() as provider,
        file_host() as host,
        Service(tmp_path, settings(provider, tmp_path)) as service,
    ):
        await service.start()
        key = (await service.make_key())["key"]
        jobs: dict[str, int] = {}
        async with caller(service, key) as client:
            for number in range(JOBS):
                made = await client.post("/v1/jobs", json=JOB)
                jobs[made.json()["request_id"]] = number
                await provider.submitted(number + 1)
        for number, submission in enumerate(provider.submissions):
            # Submissions may overtake one another, so use the callback's own job.
            await call_back(
                submission.webhook_url,
                {"status": "COMPLETED", "result": result_of(number, host, rng)},
            )
        interrupted = 0
        for _ in range(ROUNDS):
            await asyncio.sleep(rng.uniform(0.05, 0.6))
            await service.kill()
            interrupted += len(list((kept / PARTIAL).glob("*")))
            check_disk(kept)
            await service.start()
        async with caller(service, key) as client:

            async def unstored() -> int:
                found = [await job_of(client, request_id) for request_id in jobs]
                return sum(file["state"] != "stored" for job in found for file in job["archive"])

            await eventually(unstored, lambda left: left == 0, "every file")
            for request_id in jobs:
                await check_job(client, request_id)
        check_disk(kept)
        assert list((kept / PARTIAL).iterdir()) == []
        print(f"{interrupted} downloads were cut off, {len(host.asked)} requests for files")
        assert interrupted > ROUNDS


async def check_job(client: httpx.AsyncClient, request_id: str) -> None:
    """The served files equal those behind the provider's links."""
    job = await job_of(client, request_id)
    number = int(job["result"]["videoUrl"].split("/")[-2])
    for n, body in enumerate(files_of(number)):
        answer = await client.get(f"/v1/jobs/{request_id}/result", params={"n": n + 1})
        assert answer.status_code == 200
        assert answer.content == body
        assert job["archive"][n]["sha256"] == hashlib.sha256(body).hexdigest()


def check_disk(kept: Path) -> None:
    """Every file under its final name is complete."""
    for path in kept.glob("*/*/*"):
        content = path.read_bytes()
        seed = int(content[:20])
        n = seed % FILES
        assert content == file_of(200_000 + 300_000 * n, seed), path
