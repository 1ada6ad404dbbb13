"""schemathesis, with every check that it has, against a service that runs."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.service import RunningService

CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.attack
@pytest.mark.timeout(300)
async def test_it_finds_nothing(service: RunningService, tmp_path: Path) -> None:
    key = await service.key()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", CONFIG, "run"),
        *(f"{service.url}/openapi.json", "--header", f"API-KEY: {key}"),
        *("--max-examples", "30", "--seed", "1", "--request-timeout", "10", "--no-color"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    report, _ = await process.communicate()
    print(report.decode())
    assert process.returncode == 0
