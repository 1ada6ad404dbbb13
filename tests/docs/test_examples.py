"""The examples of the README and of docs/integration.md, run as they stand there, against a real
service."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.pages import README, ROOT, blocks
from tests.service import job_when, running_service, submit

SHELL = [block for block in blocks(README, "sh") if "curl " in block]
INTEGRATION = ROOT / "docs" / "integration.md"
PYTHON = [*blocks(README, "python"), *blocks(INTEGRATION, "python")]
JAVASCRIPT = [block for block in blocks(INTEGRATION, "js") if "import" not in block]
GO = blocks(INTEGRATION, "go")


@dataclass
class Reader:
    """Somebody who has started the service and made a key, and copies what is written there."""

    url: str
    key: str
    job: str
    """A job of theirs that is finished."""

    async def run(self, *command: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=os.environ | {"KEY": self.key, "JOB": self.job, "no_proxy": "*"},
            stdout=asyncio.subprocess.PIPE,
        )
        stdout, _ = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0
        return stdout.decode()

    def here(self, text: str) -> str:
        """The example, with this service's address and a webhook that stays on this machine."""
        return text.replace("http://127.0.0.1:8000", self.url).replace(
            "https://example.com", "https://127.0.0.1:9"
        )


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncIterator[Reader]:
    async with running_service(
        tmp_path, relay_allow_nets="127.0.0.0/8", sandbox_render=0.1, poll_first=0.2, poll_min=0.1
    ) as service:
        key = await service.key("acme")
        client = service.client(key)
        job = (await submit(client))["request_id"]
        await job_when(client, job, done=True)
        yield Reader(service.url, key, job)


def test_there_are_examples() -> None:
    assert len(SHELL) >= 2
    assert len(PYTHON) >= 3
    assert len(JAVASCRIPT) == len(GO) == 1


@pytest.mark.parametrize("block", SHELL)
async def test_curl(reader: Reader, block: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed here")
    fail = 'curl() { command curl --silent --show-error --fail "$@"; echo; }\n'
    told = await reader.run("sh", "-ec", fail + reader.here(block))
    answers = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    assert answers
    assert all("request_id" in answer for answer in answers)
    if "/events" in block:
        assert told.rstrip().endswith('"status":"COMPLETED"}')


@pytest.mark.parametrize("block", PYTHON)
async def test_python(reader: Reader, block: str) -> None:
    told = await reader.run(sys.executable, "-W", "error", "-c", reader.here(block))
    assert told.splitlines()[-1].startswith("COMPLETED ")


@pytest.mark.parametrize("block", JAVASCRIPT)
async def test_javascript(reader: Reader, tmp_path: Path, block: str) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed here")
    program = tmp_path / "example.mjs"
    program.write_text(reader.here(block))
    told = await reader.run("node", str(program))
    assert told.startswith("COMPLETED http")


@pytest.mark.parametrize("block", GO)
def test_go_is_go(tmp_path: Path, block: str) -> None:
    if shutil.which("go") is None:
        pytest.skip("go is not installed here")
    program = tmp_path / "example.go"
    program.write_text(block)
    subprocess.run(["go", "vet", program], check=True)
