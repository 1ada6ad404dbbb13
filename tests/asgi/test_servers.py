"""The service in other servers, and mounted in other applications, as docs/asgi.md shows it: the
whole life of a job, a stream that is resumed, and a stop with an open stream."""

import asyncio
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.crash.processes import Service
from tests.docs.pages import ROOT, blocks
from tests.http_api.event_stream import event_stream
from tests.support.programs import running
from tests.support.service import JOB, eventually, wait_for_job

DOC = (ROOT / "docs" / "asgi.md").read_text()
SERVERS = [shlex.split(line) for line in blocks(DOC, "sh")[0].splitlines()]
STARLETTE, FASTAPI = blocks(DOC, "python")
UVICORN = ["uvicorn", "host:app", *SERVERS[0][3:]]


@dataclass
class Case:
    command: list[str]
    host: str = ""
    """The source of an application that mounts it below `/jobs`."""


CASES = [
    *(
        pytest.param(Case(it), id=it[0], marks=[pytest.mark.servers] * (it[0] != "uvicorn"))
        for it in SERVERS
    ),
    pytest.param(Case(UVICORN, STARLETTE), id="starlette"),
    pytest.param(Case(UVICORN, FASTAPI), id="fastapi"),
]


@dataclass
class Served:
    service: Service
    client: httpx.AsyncClient
    process: subprocess.Popen[str]


@asynccontextmanager
async def served(folder: Path, case: Case) -> AsyncIterator[Served]:
    """Serve it with sandbox jobs that are only completed by callback."""
    service = Service(folder, {"POLL_FIRST": "600", "SANDBOX_RENDER": "1"})
    public = service.settings["PUBLIC_URL"] = service.url + ("/jobs" if case.host else "")
    (folder / "host.py").write_text(case.host)
    key = (await service.make_key())["key"]
    module, *options = case.command
    port = [each.replace("8000", str(service.port)) for each in options]
    if port == options:
        port += ["--port", str(service.port)]
    with (
        service.log.open("ab") as log,
        running(
            [sys.executable, "-m", module, *port],
            cwd=folder,
            env=service.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        ) as process,
    ):
        async with httpx.AsyncClient(
            base_url=public, headers={"API-KEY": key}, trust_env=False, timeout=20
        ) as client:

            async def is_live() -> bool:
                assert process.poll() is None, service.log.read_text()
                try:
                    return (await client.get("/livez")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(is_live, bool, "the service")
            yield Served(service, client, process)


@pytest.mark.parametrize("case", CASES)
async def test_a_server(case: Case, tmp_path: Path) -> None:
    root = "/jobs" if case.host else ""
    async with served(tmp_path, case) as it:
        client = it.client
        # As Java's client offers it with each request.
        offer = {
            "Connection": "Upgrade, HTTP2-Settings",
            "Upgrade": "h2c",
            "HTTP2-Settings": "AAMA",
        }
        answer = await client.post("/v1/jobs", json=JOB, headers=offer)
        assert answer.status_code == 202, answer.text
        job = answer.json()
        assert job["links"]["self"] == f"{root}/v1/jobs/{job['request_id']}"
        path = f"/v1/jobs/{job['request_id']}/events"
        async with event_stream(client, path) as stream:
            [snapshot] = await stream.events(1)
        done = await wait_for_job(client, job["request_id"], done=True)
        assert (done["status"], done["evidence"]) == ("COMPLETED", "callback")
        async with event_stream(client, path, snapshot.id) as stream:
            rest = [frame for frame in await stream.rest() if frame.event]
        assert [frame.event for frame in rest][-2:] == ["update", "done"]
        seqs = [frame.data["seq"] for frame in (snapshot, *rest[:-1])]
        assert seqs == list(range(snapshot.data["seq"], done["seq"] + 1))

        async with event_stream(client, "/v1/events", rest[-2].id) as stream:
            waiting = asyncio.create_task(
                client.post("/v1/jobs", json=JOB, headers={"Prefer": "wait=60"})
            )
            await stream.events(1)
            it.process.terminate()
            await stream.rest()  # up to its clean end
            answer = await waiting
            assert (answer.status_code, answer.json()["done"]) == (202, False)
        status = await asyncio.to_thread(it.process.wait, 10)
        assert status in (0, -15), it.service.log.read_text()
    shown = it.service.log.read_text()
    assert "Traceback" not in shown, shown
