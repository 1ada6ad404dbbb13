"""Between a request and its answer, the kernel was asked to sync the write-ahead log, and reported
that it had. Observed from outside the process, by strace."""

import asyncio
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from receiver.simulator.faults import SimulatorRules
from tests.crash.processes import Service, started
from tests.crash.surroundings import movie, provider
from tests.support.service import eventually

CALLS = "fsync,fdatasync,read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg"

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]


@dataclass(frozen=True, slots=True)
class Call:
    """One completed system call."""

    began: float
    """In seconds."""
    ended: float
    text: str


def calls(traces: list[str]) -> list[Call]:
    """The calls of all threads (one trace each), ordered by when they began."""
    lines = re.findall(r"^([\d.]+) (.*) <([\d.]+)>$", "\n".join(traces), re.MULTILINE)
    found = [Call(float(at), float(at) + float(took), text) for at, text, took in lines]
    return sorted(found, key=lambda call: call.began)


def synced_between(found: list[Call], request: str) -> list[bool]:
    """For each request that begins with this text: whether a complete sync of the log lies between
    it and its answer."""
    syncs = [
        call for call in found if re.match(r"f(data)?sync\(.*receiver\.db-wal>\)\s+= 0", call.text)
    ]
    verdicts = []
    for asked in found:
        socket = re.match(rf'(?:read|readv|recvfrom|recvmsg)\((\d+)<.*"{request}', asked.text)
        if socket is None:
            continue
        answer = re.compile(rf'(?:write|writev|sendto|sendmsg)\({socket[1]}<.*"HTTP/1\.1 20[02]')
        answered = next(
            call for call in found if call.began > asked.ended and answer.match(call.text)
        )
        verdicts.append(
            any(asked.ended < sync.began and sync.ended < answered.began for sync in syncs)
        )
    return verdicts


async def test_the_log_is_on_disk_before_each_answer(tmp_path: Path) -> None:
    strace = ["strace", "-D", "-ff", "-ttt", "-T", "-y", "-s", "64", "-e", f"trace={CALLS}"]
    require_strace()
    traces = tmp_path / "traces"
    traces.mkdir()
    async with provider(SimulatorRules(render_seconds=0.5)) as upstream:
        service = Service(tmp_path, upstream.settings)
        async with started(service, *strace, "-o", str(traces / "of")) as client:
            for number in range(3):
                order = {"kind": "create_movie", "input": movie(f"job {number}")}
                assert (await client.post("/v1/jobs", json=order)).status_code == 202
            await eventually(lambda: done(client), lambda count: count == 3)
            assert (await service.terminate())[0] == 0
        accepted = [receipt for receipt in upstream.callbacks.receipts if receipt.accepted]

    def read() -> list[str]:
        return [trace.read_text() for trace in traces.iterdir()]

    whole = await eventually(
        lambda: asyncio.to_thread(read), lambda found: all("+++ exited" in each for each in found)
    )
    found = calls(whole)
    assert synced_between(found, "POST /v1/jobs") == [True] * 3
    assert synced_between(found, "POST /webhooks/") == [True] * len(accepted)
    assert len(accepted) == 12


def require_strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("there is no strace(1) here")
    tried = subprocess.run(["strace", "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"tracing is not allowed here: {tried.stderr.strip()[-200:]}")


async def done(client: httpx.AsyncClient) -> int:
    return sum(job["done"] for job in (await client.get("/v1/jobs")).json()["jobs"])
