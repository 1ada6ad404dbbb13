"""The examples of docs/integration.md, run as they stand there against a real service."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks
from tests.support.service import job_when, running_service, submit

INTEGRATION = (ROOT / "docs" / "integration.md").read_text()
PYTHON = blocks(INTEGRATION, "python")
JAVASCRIPT = [block for block in blocks(INTEGRATION, "js") if "import" not in block]
GO = blocks(INTEGRATION, "go")


@dataclass
class Reader:
    """A reader who has started the service and created a key, and copies the examples."""

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
    assert len(PYTHON) >= 2
    assert len(JAVASCRIPT) == len(GO) == 1


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
def test_go_passes_vet(tmp_path: Path, block: str) -> None:
    if shutil.which("go") is None:
        pytest.skip("go is not installed here")
    program = tmp_path / "example.go"
    program.write_text(block)
    subprocess.run(["go", "vet", program], check=True)
