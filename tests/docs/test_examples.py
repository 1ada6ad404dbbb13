"""The examples of docs/integration.md, run as they stand there against a real service."""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.docs.pages import ROOT, blocks
from tests.support.service import running_service, submit, wait_for_job

INTEGRATION = (ROOT / "docs" / "integration.md").read_text()
PYTHON = blocks(INTEGRATION, "python")
JAVASCRIPT = [block for block in blocks(INTEGRATION, "js") if "import" not in block]
OUTCOMES = re.findall(r"^\| (.+) \| `(SANDBOX_.+)` \|$", INTEGRATION, re.MULTILINE)
"""The table of outcomes: each outcome, and its settings."""
QUICKLY = {
    "poll_first": 0.2,
    "job_deadline": 0.5,
    "submit_timeout": 0.3,
    "unconfirmed_deadline": 0.5,
}
"""Replaces the seconds in the table."""


@dataclass
class Reader:
    """A reader who has started the service, has a key, and copies the examples."""

    url: str
    key: str
    job: str
    """A finished job of the reader's."""

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
        """The example, with this service's address and a webhook URL on this machine."""
        return text.replace("http://127.0.0.1:8000", self.url).replace(
            "https://example.com", "https://127.0.0.1:9"
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reader(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Reader]:
    async with running_service(
        tmp_path_factory.mktemp("service"),
        relay_allow_nets="127.0.0.0/8",
        sandbox_render=0.1,
        poll_first=0.2,
        poll_min=0.1,
    ) as service:
        key = await service.key("acme")
        client = service.client(key)
        job = (await submit(client))["request_id"]
        await wait_for_job(client, job, done=True)
        yield Reader(service.url, key, job)


def test_there_are_examples() -> None:
    assert len(PYTHON) == 1
    assert len(JAVASCRIPT) == 1
    assert len(OUTCOMES) == 4


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("block", PYTHON)
async def test_python(reader: Reader, block: str) -> None:
    output = await reader.run(sys.executable, "-W", "error", "-c", reader.here(block))
    assert output.splitlines()[-1].startswith("COMPLETED ")


# Node is not a dependency of the project.
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed here")


@needs_node
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("block", JAVASCRIPT)
async def test_javascript(reader: Reader, tmp_path: Path, block: str) -> None:
    program = tmp_path / "example.mjs"
    program.write_text(reader.here(block))
    output = await reader.run("node", str(program))
    assert output.startswith("COMPLETED http")


@pytest.mark.parametrize(("outcome", "settings"), OUTCOMES)
async def test_settings_of_the_sandbox(tmp_path: Path, outcome: str, settings: str) -> None:
    given: dict[str, Any] = dict(each.lower().split("=") for each in settings.split())
    given |= {name: seconds for name, seconds in QUICKLY.items() if name in given}
    async with running_service(tmp_path, poll_min=0.1, **given) as service:
        client = service.client(await service.key())
        job = await wait_for_job(client, (await submit(client))["request_id"], done=True)
    if job["error"] is None:
        assert outcome == f"{job['status']}, found by a {job['evidence']}"
    else:
        assert outcome == f"{job['status']} `{job['error']['code']}`"
